//! Each supported major version of PostgreSQL, a real pair of it: what the probe learns, and what the agent tells.
//!
//! The table of truth runs on one version. Here are the rows whose SQL or process titles could differ between versions, and
//! every fact of the statement.

#[path = "versions/facts.rs"]
mod facts;
#[path = "versions/pulse.rs"]
mod pulse;
#[path = "versions/told.rs"]
mod told;

/// All tests on one version, each under a name of its own, so that versions run side by side and fail apart.
macro_rules! on {
    ($room:ident, $major:literal) => {
        mod $room {
            use standbywatch_lab::Result;

            #[tokio::test]
            async fn no_fact_is_missing() -> Result<()> {
                super::facts::no_fact_is_missing($major).await
            }

            #[tokio::test]
            async fn a_pulse_is_answered() -> Result<()> {
                super::pulse::a_pulse_is_answered($major).await
            }

            #[tokio::test]
            async fn faults_are_told() -> Result<()> {
                super::told::faults_are_told($major).await
            }
        }
    };
}

on!(postgres_14, 14);
on!(postgres_15, 15);
on!(postgres_16, 16);
on!(postgres_17, 17);
on!(postgres_18, 18);
