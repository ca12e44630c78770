//! Manifests: written, read back, sent, and compared.

use proptest::prelude::*;

use super::*;

fn file(content: u8) -> Print {
    Print { kind: EntryKind::File, mode: 0o644, content: [content; 16] }
}

fn manifest(entries: &[(&str, Print)], bound: Option<TreeBound>) -> Manifest {
    let mut builder = Builder::default();
    for (path, print) in entries {
        assert!(builder.push(path.as_bytes(), *print));
    }
    builder.finish(bound)
}

fn differences(original: &Manifest, copy: &Manifest) -> Vec<(String, DriftKind)> {
    let mut all = Vec::new();
    compare(original, copy, |path, difference| {
        all.push((shown(path), Difference::kind(difference.one, difference.other)));
    });
    all
}

#[test]
fn what_differs_is_named_with_what_is_wrong() {
    let directory = Print { kind: EntryKind::Directory, mode: 0o755, content: [0; 16] };
    let original =
        manifest(&[("a", file(1)), ("b", directory), ("b/c", file(2)), ("b-d", file(3)), ("e", file(4))], None);
    let mode = Print { mode: 0o600, ..file(1) };
    let copy = manifest(&[("a", mode), ("b", file(9)), ("b-d", file(7)), ("e", file(4)), ("f", file(5))], None);
    let expected = [
        ("a", DriftKind::Mode),
        ("b", DriftKind::Kind),
        ("b/c", DriftKind::Missing),
        ("b-d", DriftKind::Content),
        ("f", DriftKind::Extra),
    ];
    assert_eq!(differences(&original, &copy), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(differences(&original, &original), []);
    assert_ne!(original.digest(), copy.digest());
}

#[test]
fn what_could_not_be_read_or_was_cut_off_is_no_difference() {
    let unreadable = Print { kind: EntryKind::Unreadable, mode: 0, content: [0; 16] };
    let directory = Print { kind: EntryKind::Directory, mode: 0o755, content: [0; 16] };
    let original = manifest(&[("a", file(1)), ("b", directory), ("b/c", file(2)), ("d", file(3))], None);
    let blind = manifest(&[("a", unreadable), ("b", unreadable), ("d", file(3))], None);
    assert_eq!(differences(&original, &blind), []);
    assert_eq!(differences(&blind, &original), []);
    assert_eq!(blind.unreadable(), 2);
    let cut = manifest(&[("a", file(9))], Some(TreeBound::Files));
    assert_eq!(differences(&original, &cut), [("a".to_owned(), DriftKind::Content)]);
}

#[test]
fn a_name_that_is_not_text_can_be_shown() {
    assert_eq!(shown(b"sites/caf\xe9\n.conf"), "sites/caf\\xe9\\n.conf");
    assert_eq!(shown("größe".as_bytes()), "größe");
    assert_eq!(shown(&[b'x'; 1000]).chars().count(), 201);
}

#[test]
fn what_is_sent_is_read_back_and_nothing_else_is() {
    let original = manifest(&[("a", file(1)), ("a/b", file(2)), ("a-c", file(3))], Some(TreeBound::Depth));
    assert_eq!(Manifest::from_records(original.records(), original.bound(), 3).unwrap(), original);
    let sent = |records: &[u8]| Manifest::from_records(records, None, 100).map_err(|error| error.to_string());
    let good = &original.records;
    assert!(sent(good).is_ok());
    assert!(Manifest::from_records(good, None, 2).unwrap_err().to_string().contains("max_files"));
    assert!(sent(&good[..good.len() - 1]).unwrap_err().contains("ends within"));
    assert!(sent(&vec![0; MOST_BYTES + 1]).unwrap_err().contains("too long"));
    let order = manifest(&[("b", file(1)), ("a", file(2))], None).records;
    assert!(sent(&order).unwrap_err().contains("order"));
    let mut kind = good.clone();
    kind[5] = 77;
    assert!(sent(&kind).unwrap_err().contains("no known kind"));
    assert!(sent(&[9, 0, 1, 0, b'a']).unwrap_err().contains("impossible"));
}

proptest! {
    #[test]
    fn any_tree_is_walked_as_it_was_made(names in proptest::collection::btree_set("[a-d/é]{1,6}", 0..40)) {
        let mut names: Vec<_> = names.into_iter().map(String::into_bytes).collect();
        names.sort_by(|one, other| path_order(one, other));
        let mut builder = Builder::default();
        for (index, name) in names.iter().enumerate() {
            prop_assert!(builder.push(name, file(u8::try_from(index).unwrap())));
        }
        let manifest = builder.finish(None);
        let (mut walk, mut walked) = (manifest.walk(), Vec::new());
        while let Some((path, _)) = walk.next_entry() {
            walked.push(path.to_vec());
        }
        prop_assert_eq!(&walked, &names);
        // In two pieces, put together.
        let middle = names.len() / 3;
        let mut pieces = [Builder::default(), Builder::default()];
        for (index, name) in names.iter().enumerate() {
            pieces[usize::from(index >= middle)].push(name, file(u8::try_from(index).unwrap()));
        }
        let [mut together, second] = pieces;
        prop_assert!(together.append(second));
        prop_assert_eq!(&together.finish(None), &manifest);
        prop_assert_eq!(Manifest::from_records(manifest.records(), None, 100).unwrap(), manifest);
    }

    #[test]
    fn no_bytes_crash_the_reader(records in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::from_records(&records, None, 100);
    }
}
