//! Vendors' pages that answer anything but what was asked.

use standbywatch_lab::{Lab, Result};

use crate::impostor::{Impostor, Says, WEB_PAGE, http};
use crate::watch::{self, memory, rises, tells_ok, tells_unknown};

const KIND: &str = "application/json";
const GOOD: &str = r#"{"postgres_lag_bytes": 4096}"#;
const SECRET: &str = "hunter2";

fn says(body: &str) -> Says {
    Says::This(http("200 OK", KIND, "", body))
}

/// Each way to answer wrongly, the reasons that are right for it, and a word that its explanation has.
fn wrong_answers(elsewhere: &str) -> Vec<(Says, &'static [&'static str], &'static str)> {
    let moved = |path: &str| Says::This(http("302 Found", KIND, &format!("location: {elsewhere}{path}\r\n"), GOOD));
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{GOOD}");
    let old = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nlast-modified: Sun, 06 Nov 1994 07:49:37 GMT\r\n";
    vec![
        (says(r#"{"postgres_lag_bytes": "unknown"}"#), &["reported_unknown"], "vendor's own word"),
        (says("{}"), &["protocol"], "no key"),
        (says(r#"{"postgres_lag_bytes": null}"#), &["protocol"], "neither a number"),
        (says(r#"{"postgres_lag_bytes": -1}"#), &["protocol"], "never negative"),
        (says(r#"{"postgres_lag_bytes": "NaN"}"#), &["protocol"], "neither a number"),
        (says(r#"{"postgres_lag_bytes": 1e30}"#), &["protocol"], "so far behind"),
        (says(r#"{"postgres_lag_bytes": 40"#), &["protocol"], "EOF"),
        (says("[4096]"), &["protocol"], "not the JSON"),
        (Says::This(http("200 OK", "text/html", "", WEB_PAGE)), &["protocol"], "is it a login"),
        (Says::This(http("500 Internal Server Error", KIND, "", GOOD)), &["protocol"], "HTTP 500"),
        (Says::This(http("401 Unauthorized", KIND, "", GOOD)), &["authentication"], "status_access"),
        (Says::This(http("403 Forbidden", KIND, "", GOOD)), &["permission"], "vendor's side"),
        (moved("/login?next=/monitor"), &["authentication"], "that is a login"),
        (moved("/monitor/replication"), &["protocol"], "not followed"),
        (Says::This(http("200 OK", KIND, old, GOOD)), &["stale"], "Last-Modified"),
        (Says::Last(cut.into_bytes()), &["protocol"], "cut short"),
        (says(&"x".repeat(2 << 20)), &["too_large"], "is over"),
        (Says::Last(b"220 mail.example ESMTP\r\n".to_vec()), &["protocol"], ""),
        (Says::Nothing, &["timeout"], "did not answer"),
    ]
}

#[tokio::test]
async fn no_wrong_page_is_taken_for_a_number() -> Result<()> {
    let Some(lab) = Lab::open(&[])? else { return Ok(()) };
    let elsewhere = Impostor::that_says(says(GOOD)).await?;
    let page = Impostor::that_says(says(GOOD)).await?;
    let config = format!(
        "pairs:\n  - name: catalog\n    nodes: {{ alpha: {{}}, beta: {{}} }}\n    postgres:\n      \
         status_url: http://{}/monitor/replication?token={SECRET}\n      \
         status_access: {{ user: probe, password: {SECRET} }}\n      interval: 500ms\n      timeout: 1s\n",
        page.address()
    );
    let agent = watch::agent(&lab, config).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    for (says, reasons, word) in wrong_answers(&format!("http://{}", elsewhere.address())) {
        page.change(move |_| says.clone());
        let told = tells_unknown(&agent, "catalog", "postgres", reasons).await?;
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{word:?} in {told}");
        for path in ["/", "/api/v1/status", "/metrics"] {
            let shown = agent.get(path).await?.text;
            assert!(!shown.contains(SECRET), "{path} shows {shown}");
        }
        let people = agent.get("/").await?.text;
        assert!(!people.contains("<script>alert"), "{people}");
        page.change(|_| self::says(GOOD));
        tells_ok(&agent, "catalog", "postgres").await?;
    }
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
    assert!(!agent.server.log().contains(SECRET), "{}", agent.server.log());
    Ok(())
}

#[tokio::test]
async fn an_answer_without_end_costs_no_memory() -> Result<()> {
    let Some(lab) = Lab::open(&[])? else { return Ok(()) };
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
    let page = Impostor::that_says(Says::Flood(head, 200 << 20)).await?;
    let config = format!(
        "pairs:\n  - name: catalog\n    nodes: {{ alpha: {{}}, beta: {{}} }}\n    postgres: {{ status_url: 'http://{}/', interval: 500ms }}\n",
        page.address()
    );
    let agent = watch::agent(&lab, config).await?;
    tells_unknown(&agent, "catalog", "postgres", &["too_large"]).await?;
    rises("it goes on asking", 3, || page.connections()).await?;
    let most = memory(&agent, "VmHWM")?;
    assert!(most < 64 << 20, "{most} bytes");
    Ok(())
}
