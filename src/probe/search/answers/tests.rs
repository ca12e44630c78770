//! Answers as OpenSearch 2.19.3 gives them, older and newer forms of them, and what is no answer at all.

use proptest::prelude::*;

use super::*;

fn answer(status: u16, body: &str) -> Response {
    Response { status, body: body.as_bytes().to_vec(), ..Response::default() }
}

fn ok(body: &str) -> Response {
    answer(200, body)
}

const MISSING: &str = r#"{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [nope]",
    "index":"nope","resource.id":"nope","resource.type":"index_or_alias","index_uuid":"_na_"}],
    "type":"index_not_found_exception","reason":"no such index [nope]","index":"nope"},"status":404}"#;

proptest! {
    #[test]
    fn no_answer_crashes_a_parser(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let response = Response { status, body, ..Response::default() };
        let _ = (identity(&response), cluster_health(&response), concrete_indices(&response), documents(&response));
        let _ = (index_stats(&response), recoveries(&response));
    }
}

#[test]
fn who_answers() {
    let opensearch = ok(r#"{"name":"vm","version":{"distribution":"opensearch","number":"2.19.3"},"tagline":"x"}"#);
    let identity_of = |response: &Response| identity(response).map(|it| (it.distribution, it.version));
    let named = |name: &str, version: &str| Ok((Some(name.to_owned()), Some(version.to_owned())));
    assert_eq!(identity_of(&opensearch), named("opensearch", "2.19.3"));
    let elasticsearch =
        ok(r#"{"version":{"number":"8.17.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#);
    assert_eq!(identity_of(&elasticsearch), named("elasticsearch", "8.17.0"));
    assert_eq!(identity_of(&ok("{}")), Ok((None, None)));
    let node = ok(r#"{"nodes":{"x":{"version":"8.17.0","build_flavor":"default"}}}"#);
    let known = Identity { distribution: Some("elasticsearch".to_owned()), version: Some("8.17.0".to_owned()) };
    assert_eq!(identity_of_node(&node), known);
    assert_eq!(identity_of_node(&answer(403, "{}")), Identity::default());
}

#[test]
fn health_with_numbers_as_numbers_and_as_text() {
    let health = cluster_health(&ok(
        r#"{"status":"red","timed_out":false,"number_of_nodes":1,"initializing_shards":0,"unassigned_shards":2,
            "active_shards_percent_as_number":50.0,"indices":{"broken":{"status":"red"},"logs-2024.01":{"status":"yellow"}}}"#,
    ))
    .unwrap();
    let facts = health.facts;
    assert_eq!((facts.health, facts.timed_out), (Some(SearchHealth::Red), Some(false)));
    assert_eq!((facts.nodes, facts.unassigned_shards, facts.initializing_shards), (Some(1), Some(2), Some(0)));
    assert_eq!(facts.active_shards_percent, Some(50.0));
    assert_eq!(health.indices.get("logs-2024.01"), Some(&SearchHealth::Yellow));

    let text = r#"{"status":"GREEN","number_of_nodes":"3","unassigned_shards":"many","active_shards_percent":"66.7%","new":[{}]}"#;
    let facts = cluster_health(&ok(text)).unwrap().facts;
    assert_eq!((facts.nodes, facts.active_shards_percent), (Some(3), Some(66.7)));
    assert_eq!((facts.unassigned_shards, facts.timed_out), (None, None), "not understood is not learned, never 0");
}

#[test]
fn a_health_that_timed_out_says_so_and_one_without_colour_is_none() {
    let guess = answer(408, r#"{"status":"red","timed_out":true}"#);
    assert_eq!(cluster_health(&guess).unwrap().facts.timed_out, Some(true));
    for body in ["{}", r#"{"status":"purple"}"#, r#"{"status":null}"#] {
        assert_eq!(cluster_health(&ok(body)).unwrap_err().kind, FailureKind::Protocol, "{body}");
    }
}

fn concrete(name: &str, uuid: &str) -> ConcreteIndex {
    ConcreteIndex { name: name.to_owned(), uuid: Some(uuid.to_owned()), created: None }
}

#[test]
fn indices_behind_a_name_with_their_blocks() {
    let plain = concrete_indices(&ok(r#"{"catalog":{"settings":{"index.uuid":"TYtW9"}}}"#)).unwrap();
    let catalog = Concrete { index: concrete("catalog", "TYtW9"), write_blocked: false, flooded: false };
    assert_eq!(plain, std::slice::from_ref(&catalog));
    let flooded = ok(r#"{"catalog":{"settings":{"index.blocks.read_only_allow_delete":"true","index.uuid":"TYtW9"}}}"#);
    assert_eq!(
        concrete_indices(&flooded),
        Ok(vec![Concrete { write_blocked: true, flooded: true, ..catalog.clone() }])
    );
    let closed = ok(
        r#"{"catalog":{"settings":{"index.blocks.write":"true","index.blocks.read_only":"false","index.uuid":"TYtW9"}}}"#,
    );
    assert_eq!(concrete_indices(&closed), Ok(vec![Concrete { write_blocked: true, ..catalog }]));
}

#[test]
fn a_missing_index_is_a_fact_and_a_missing_page_is_not() {
    assert_eq!(concrete_indices(&answer(404, MISSING)), Ok(Vec::new()));
    assert_eq!(concrete_indices(&answer(404, r#"{"error":"alias [x] missing","status":404}"#)), Ok(Vec::new()));
    assert_eq!(concrete_indices(&ok("{}")), Ok(Vec::new()), "a pattern that nothing fits");
    for page in ["<html>404 Not Found</html>", r#"{"error":"Not Found"}"#, r#"{"detail":"no route"}"#, ""] {
        assert_eq!(concrete_indices(&answer(404, page)).unwrap_err().kind, FailureKind::Protocol, "{page}");
    }
}

#[test]
fn only_a_whole_count_is_a_count() {
    assert_eq!(documents(&ok(r#"{"count":0,"_shards":{"failed":0}}"#)), Ok(Some(0)));
    assert_eq!(documents(&ok(r#"{"count":"17","_shards":{"failed":"0"}}"#)), Ok(Some(17)));
    for body in [
        r#"{"count":17,"_shards":{"failed":1}}"#,
        r#"{"count":17}"#,
        r#"{"_shards":{"failed":0}}"#,
        r#"{"count":-1,"_shards":{"failed":0}}"#,
        r#"{"count":1.5,"_shards":{"failed":0}}"#,
    ] {
        assert_eq!(documents(&ok(body)), Ok(None), "{body}");
    }
}

#[test]
fn what_is_no_answer_has_its_kind_and_an_excerpt() {
    let kind = |status, body: &str| cluster_health(&answer(status, body)).unwrap_err().kind;
    assert_eq!(kind(200, "<html><body>Welcome to nginx!</body></html>"), FailureKind::Protocol);
    assert_eq!(kind(200, r#"{"status":"gre"#), FailureKind::Protocol);
    assert_eq!(kind(200, ""), FailureKind::Protocol);
    assert_eq!(kind(401, "{}"), FailureKind::Authentication);
    assert_eq!(kind(403, "{}"), FailureKind::Permission);
    assert_eq!(kind(429, "{}"), FailureKind::Refused);
    assert_eq!(kind(503, r#"{"error":{"type":"master_not_discovered_exception"}}"#), FailureKind::StartingUp);
    assert_eq!(kind(302, ""), FailureKind::Protocol);
    assert_eq!(kind(500, "oops"), FailureKind::Protocol);
    let failure = cluster_health(&ok(&format!("<html>{}", "x".repeat(9999)))).unwrap_err();
    assert!(failure.message.contains("<html>xxx") && failure.message.len() < 400, "{failure}");
}

#[test]
fn what_was_written_is_known_as_a_whole_or_not_at_all() {
    let stats = |body: &str| index_stats(&ok(body)).unwrap();
    let primaries = r#""_all":{"primaries":{"indexing":{"index_total":"20"},"store":{"size_in_bytes":4096}}}"#;
    let whole = stats(&format!(r#"{{"_shards":{{"failed":0}},{primaries}}}"#));
    assert_eq!(whole, IndexStats { indexed: Some(20), store: Some(Bytes(4096)) });
    assert_eq!(stats(&format!(r#"{{"_shards":{{"failed":1}},{primaries}}}"#)), IndexStats::default());
    assert_eq!(stats(&format!("{{{primaries}}}")), IndexStats::default());
    assert_eq!(stats(r#"{"_shards":{"failed":0}}"#), IndexStats::default());
    assert_eq!(index_stats(&answer(404, MISSING)).unwrap_err().kind, FailureKind::Protocol);
    let moving = r#"{"a":{"shards":[{"id":0},{"id":1}]},"b":{"shards":[{"id":0}]}}"#;
    assert_eq!((recoveries(&ok(moving)), recoveries(&ok("{}"))), (Ok(3), Ok(0)));
}
