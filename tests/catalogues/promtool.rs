//! What Prometheus's own tool says of the catalogues.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use standbywatch::judge::rules::{self, PrometheusVersion};
use standbywatch::metrics;

use crate::dashboard;
use crate::printed::default_book;

/// Whether promtool can be run. Says so if not, and fails if everything is required.
pub(crate) fn there() -> bool {
    let there = Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("LAB_REQUIRE_ALL").is_none_or(|all| all != "1"), "promtool is required but not there");
        eprintln!("SKIPPED: a check of the catalogues because promtool (Debian package prometheus) is not there");
    }
    there
}

/// A folder that goes away with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standbywatch-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(arguments: &[&str], file: &Path) -> Output {
    Command::new("promtool").args(arguments).arg(file).output().expect("promtool runs")
}

pub(crate) fn assert_clean(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
}

#[test]
fn metric_names_pass_promtool() {
    if !there() {
        return;
    }
    let mut exposition = String::new();
    for metric in metrics::all() {
        let labels = metric.labels.iter().filter(|label| **label != "le");
        let labels: Vec<_> = labels.map(|label| format!("{label}=\"x\"")).collect();
        let (name, kind) = (metric.name, metric.kind.as_str());
        if metric.kind == metrics::Kind::Histogram {
            let labels = labels.join(",");
            let _ = writeln!(
                exposition,
                "# HELP {name} {}\n# TYPE {name} {kind}\n{name}_bucket{{{labels},le=\"+Inf\"}} 1\n{name}_sum{{{labels}}} 1\n\
                 {name}_count{{{labels}}} 1",
                metric.help
            );
            continue;
        }
        let _ = writeln!(
            exposition,
            "# HELP {name} {}\n# TYPE {name} {kind}\n{name}{{{}}} 1",
            metric.help,
            labels.join(",")
        );
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    promtool.stdin.take().expect("a pipe").write_all(exposition.as_bytes()).expect("promtool reads");
    assert_clean(&promtool.wait_with_output().expect("promtool ends"));
}

#[test]
fn printed_rules_pass_promtool_for_each_version() {
    if !there() {
        return;
    }
    let folder = Folder::new("rules");
    for version in ["2.30", "2.42", "3.5"] {
        let version: PrometheusVersion = version.parse().expect("a version");
        let printed = rules::print(&default_book(), version);
        assert_eq!(printed.contains("keep_firing_for"), version >= PrometheusVersion::COMPLETE);
        let output = run(&["check", "rules"], &folder.write("rules.yml", &printed));
        assert_clean(&output);
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(found.contains(&format!("{} rules found", rules::RULES.len())), "{found}");
    }
}

/// As recording rules, since promtool parses those without a server.
#[test]
fn the_dashboard_s_expressions_parse() {
    if !there() {
        return;
    }
    let recorded: Vec<_> = dashboard::expressions()
        .into_iter()
        .enumerate()
        .map(|(at, panel)| serde_json::json!({"record": format!("panel:{at}"), "expr": panel.expression}))
        .collect();
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": recorded}]});
    assert_clean(&run(&["check", "rules"], &Folder::new("dashboard").write("dashboard.yml", &file.to_string())));
}
