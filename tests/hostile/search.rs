//! Search engines that answer anything but what was asked.

use std::time::Duration;

use standbywatch_lab::{Agent, Lab, Result, wait_until};

use crate::impostor::{Impostor, Says, WEB_PAGE, healthy_engine, http};
use crate::watch::{self, SOON, memory, rises, tells_ok, tells_unknown};

const GOOD_BEGINNING: &str = r#"{"status":"green","number_of_nodes":1,"#;

/// Each way to answer wrongly, the reasons that are right for it, and a word that its explanation has.
fn wrong_answers(elsewhere: &str) -> Vec<(&'static str, Says, &'static [&'static str], &'static str)> {
    let kind = "application/json";
    let long_line = format!("x-long: {}\r\n", "y".repeat(200 << 10));
    let many_lines: String = (0..2000).map(|number| format!("x-{number}: 1\r\n")).collect();
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{GOOD_BEGINNING}");
    vec![
        ("web-page", Says::This(http("200 OK", "text/html", "", WEB_PAGE)), &["protocol"], "check the URL"),
        ("cut-by-close", Says::Last(cut.into_bytes()), &["protocol"], "cut short"),
        ("half-of-it", Says::This(http("200 OK", kind, "", GOOD_BEGINNING)), &["protocol"], "EOF"),
        ("other-json", Says::This(http("200 OK", kind, "", "{}")), &["protocol"], "colour"),
        ("a-number", Says::This(http("200 OK", kind, "", "17")), &["protocol"], "17"),
        (
            "a-long-text",
            Says::This(http("200 OK", kind, "", &format!("\"{}\"", "z".repeat(1 << 20)))),
            &["protocol"],
            "check the URL",
        ),
        ("deep-json", Says::This(http("200 OK", kind, "", &"[".repeat(100_000))), &["protocol"], ""),
        (
            "drip",
            Says::Drip(http("200 OK", kind, "", GOOD_BEGINNING), Duration::from_millis(200)),
            &["timeout"],
            "did not answer",
        ),
        (
            "one-byte-a-second",
            Says::Drip(http("200 OK", kind, "", GOOD_BEGINNING), Duration::from_secs(1)),
            &["timeout"],
            "did not answer",
        ),
        (
            "moved-in-a-circle",
            Says::This(http("301 Moved Permanently", kind, "location: /_cluster/health\r\n", "")),
            &["protocol"],
            "redirect",
        ),
        ("silent", Says::Nothing, &["timeout"], "did not answer"),
        (
            "no-password",
            Says::This(http("401 Unauthorized", "text/plain", "", "who?")),
            &["authentication"],
            "check user",
        ),
        ("forbidden", Says::This(http("403 Forbidden", "text/plain", "", "no")), &["permission"], "cluster:monitor"),
        ("starting", Says::This(http("503 Service Unavailable", "text/plain", "", "wait")), &["starting_up"], ""),
        (
            "moved",
            Says::This(http("302 Found", kind, &format!("location: {elsewhere}/\r\n"), "")),
            &["protocol"],
            "redirect",
        ),
        ("long-head", Says::This(http("200 OK", kind, &long_line, "{}")), &["too_large", "protocol"], ""),
        ("many-headers", Says::This(http("200 OK", kind, &many_lines, "{}")), &["too_large", "protocol"], ""),
        ("no-http", Says::Last(b"220 mail.example ESMTP\r\n".to_vec()), &["protocol"], ""),
        ("zeros", Says::Last(vec![0; 4096]), &["protocol"], ""),
        ("closes", Says::Last(Vec::new()), &["protocol", "refused", "unreachable"], ""),
    ]
}

#[tokio::test]
async fn an_engine_that_answers_something_else() -> Result<()> {
    let lab = Lab::bare()?;
    let elsewhere = Impostor::start(healthy_engine).await?;
    let beside = Impostor::start(healthy_engine).await?;
    let standby = format!("url: http://{}", beside.address());
    let mut impostors = Vec::new();
    let mut config = "pairs:\n".to_owned();
    for (name, says, reasons, word) in wrong_answers(&format!("http://{}", elsewhere.address())) {
        let impostor = Impostor::that_says(says).await?;
        config += &watch::engines(name, &format!("url: http://{}", impostor.address()), &standby);
        impostors.push((name, impostor, reasons, word));
    }
    let agent = watch::agent(&lab, config).await?;
    for (name, _, reasons, word) in &impostors {
        let told = tells_unknown(&agent, name, "search", reasons).await?;
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(word) && detail.len() < 1000, "{name}: {detail}");
        println!("{name}: {detail}");
    }
    assert_eq!(elsewhere.connections(), 0, "a redirect is not followed");
    let page = agent.get("/").await?.text;
    assert!(page.contains("It works!") && !page.contains("<script>alert"), "what a server says is text on our page");

    for (_, impostor, _, _) in &impostors {
        impostor.change(healthy_engine);
    }
    for (name, ..) in &impostors {
        tells_ok(&agent, name, "search").await?;
    }
    assert!(agent.server.is_running());
    Ok(())
}

/// An engine whose answers are endless costs no more memory than the longest answer that is read.
#[tokio::test]
async fn an_engine_that_answers_fifty_mebibytes() -> Result<()> {
    let lab = Lab::bare()?;
    let engine = Impostor::start(healthy_engine).await?;
    let beside = Impostor::start(healthy_engine).await?;
    let url = |impostor: &Impostor| format!("url: http://{}", impostor.address());
    let config = watch::engines("flood", &url(&engine), &url(&beside));
    let agent = watch::agent(&lab, format!("pairs:\n{config}")).await?;
    tells_ok(&agent, "flood", "search").await?;
    let before = memory(&agent, "VmRSS")?;
    let length: u64 = 50 << 20;
    let head = |framing: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{{\"status\":\"")
    };
    let with_length = head(&format!("content-length: {length}"));
    let until_closed = head("connection: close");
    for first in [with_length, until_closed] {
        let first = first.into_bytes();
        engine.change(move |_| Says::Flood(first.clone(), length));
        tells_unknown(&agent, "flood", "search", &["too_large"]).await?;
        rises("it is asked again and again", 5, || engine.connections()).await?;
    }
    engine.change(healthy_engine);
    tells_ok(&agent, "flood", "search").await?;
    grew_by_at_most(&agent, before, 20 << 20)
}

fn grew_by_at_most(agent: &Agent, before: u64, most: u64) -> Result<()> {
    let peak = memory(agent, "VmHWM")?;
    println!("resident before {} KiB, at most {} KiB", before >> 10, peak >> 10);
    assert!(peak.saturating_sub(before) <= most, "{before} bytes before, {peak} at most");
    Ok(())
}

/// Engines that hang or flood do not delay what is told of another one.
#[tokio::test]
async fn one_that_hangs_delays_no_other() -> Result<()> {
    let lab = Lab::bare()?;
    let good = Impostor::start(healthy_engine).await?;
    let hangs = Impostor::that_says(Says::Nothing).await?;
    let url = |impostor: &Impostor| format!("url: http://{}", impostor.address());
    let beside = Impostor::start(healthy_engine).await?;
    let config = format!(
        "pairs:\n{}{}",
        watch::engines("hangs", &url(&hangs), &url(&beside)),
        watch::engines("good", &url(&good), &url(&beside))
    );
    let agent = watch::agent(&lab, config).await?;
    tells_unknown(&agent, "hangs", "search", &["timeout"]).await?;
    tells_ok(&agent, "good", "search").await?;
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    wait_until("five seconds have gone by", SOON, async || {
        let told = watch::channel_of(&agent, "good", "search").await?;
        assert_eq!(told["level"], "ok", "{told}");
        Ok((tokio::time::Instant::now() >= until).then_some(()))
    })
    .await
}

/// Everything but the health may be nonsense, huge, or text where numbers are expected: what is known is told, the rest is not.
#[tokio::test]
async fn an_engine_that_answers_its_health_only() -> Result<()> {
    let lab = Lab::bare()?;
    let engine = Impostor::start(healthy_engine).await?;
    let beside = Impostor::start(healthy_engine).await?;
    let url = |impostor: &Impostor| format!("url: http://{}", impostor.address());
    let agent = watch::agent(&lab, format!("pairs:\n{}", watch::engines("odd", &url(&engine), &url(&beside)))).await?;
    tells_ok(&agent, "odd", "search").await?;
    let before = memory(&agent, "VmRSS")?;
    let json = "application/json";
    let flood = format!("HTTP/1.1 200 OK\r\ncontent-type: {json}\r\ncontent-length: {}\r\n\r\n", 50_u64 << 20);
    let odd = [
        Says::This(http("200 OK", "text/html", "", WEB_PAGE)),
        Says::This(http("200 OK", json, "", r#"{"_all":{"primaries":{"indexing":{"index_total":"#)),
        Says::This(http(
            "200 OK",
            json,
            "",
            r#"{"_shards":{"failed":"0"},"_all":{"primaries":{"indexing":{"index_total":"-7"}}}}"#,
        )),
        Says::This(http("302 Found", json, "location: /\r\n", "")),
        Says::Flood(flood.into_bytes(), 50 << 20),
    ];
    for says in odd {
        engine.change(move |heard| {
            let path = String::from_utf8_lossy(heard);
            let path = path.split(' ').nth(1).unwrap_or_default();
            let besides = ["/_stats/", "/_cluster/settings", "/_nodes/"].iter().any(|part| path.contains(part));
            if besides { says.clone() } else { healthy_engine(heard) }
        });
        let connections = engine.connections();
        let until = tokio::time::Instant::now() + Duration::from_secs(4);
        wait_until("it was asked some times", SOON, async || {
            let told = watch::channel_of(&agent, "odd", "search").await?;
            assert_eq!(told["level"], "ok", "{told} after {connections} connections");
            Ok((tokio::time::Instant::now() >= until).then_some(()))
        })
        .await?;
        let index = agent.json("/api/v1/pairs/odd").await?["search"]["nodes"][0]["indices"][0].clone();
        assert_eq!((&index["documents"], &index["store_bytes"]), (&7.into(), &serde_json::Value::Null), "{index}");
    }
    grew_by_at_most(&agent, before, 20 << 20)
}
