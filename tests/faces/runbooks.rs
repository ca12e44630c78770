//! What the runbooks ask to be run at three in the morning runs, and as the agent's own role.

use standbywatch_lab::Result;

use crate::site::Site;

/// Functions that change something: nobody runs them to look.
const CHANGES: [&str; 6] =
    ["pg_promote", "pg_reload_conf", "pg_wal_replay_resume", "pg_drop_", "pg_create_", "pg_terminate_"];

/// The statements of the runbooks that only look.
fn questions() -> Vec<String> {
    let runbooks = include_str!("../../docs/runbooks.md");
    let quoted = runbooks.split('`').skip(1).step_by(2);
    let asks = quoted.filter(|text| text.starts_with("SELECT ") || text.starts_with("SHOW "));
    let looks = asks.filter(|text| !CHANGES.iter().any(|change| text.contains(change)) && !text.contains('…'));
    looks.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test]
async fn each_question_of_the_runbooks_is_answered_to_the_agent_s_role() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let (pair, questions) = (&site.postgres, questions());
    assert!(questions.len() > 8, "found: {questions:#?}");
    for question in questions {
        let asked = format!("SET ROLE {}; {question}", pair.user());
        // Each is meant for one of the two; what the sentence around it says is for people.
        let (primary, standby) = (pair.primary.sql(&asked).await, pair.standby.sql(&asked).await);
        let answered = primary.is_ok() || standby.is_ok();
        assert!(answered, "`{question}`:\n{:#}\n{:#}", primary.unwrap_err(), standby.unwrap_err());
    }
    Ok(())
}
