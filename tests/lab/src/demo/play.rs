//! From the first line to the last: start, addresses, faults on request, end.

use std::time::Instant;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{Control, meeting_place};
use super::faults::{self, Fault};
use super::scene::{HOLD, Scene, Topology};
use super::story;
use super::teller::{Teller, say};

/// Plays the demo until Ctrl-C, SIGTERM or the terminal's end; then nothing is left running.
///
/// # Errors
/// When another demo runs, something cannot be started, or the agent ends by itself.
pub async fn play(topology: Topology) -> Result<()> {
    let control = Control::open(&meeting_place())?;
    let ended = end_is_wanted()?;
    tokio::pin!(ended);
    say("starting a pair, who watches it, Prometheus and Alertmanager: up to half a minute");
    let scene = tokio::select! {
        scene = Scene::start(topology) => scene?,
        () = &mut ended => {
            say("ended before all was started");
            return Ok(());
        }
    };
    say(&introduction(&scene)?);
    let teller = Teller::new();
    let outcome = tokio::select! {
        served = control.serve(async |question| answer(question, &scene, &teller).await) => served,
        watched = teller.watch(&scene) => watched,
        () = ended => Ok(()),
    };
    say("ending: the agent first, then the servers");
    drop(control);
    drop(scene);
    say("ended; nothing is left running");
    outcome
}

/// Done when somebody wants the demo to end.
fn end_is_wanted() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

fn introduction(scene: &Scene) -> Result<String> {
    let search = match &scene.watched.search {
        Ok(_) => String::new(),
        Err(reason) => format!("\nThe search channel is left out: {reason}\n"),
    };
    Ok(format!(
        "\nThe pair `catalog` runs: alpha is the primary, beta its standby, and a small load writes to both.\n\n{}{search}\n\
         Rules hold {HOLD} s here instead of up to a minute, and rsync runs each 10 s instead of each minute, so that an \
         alert arrives\nwithin seconds. In another terminal:\n\n  make demo-fault FAULT=cable-cut\n  make demo-repair\n\n\
         Faults, and what is told:\n\n{}\nCtrl-C ends everything. What is told, as it changes:\n",
        scene.addresses()?,
        faults::list(),
    ))
}

/// Does what another terminal asks for; returns what to say there.
async fn answer(question: &str, scene: &Scene, teller: &Teller) -> Result<String> {
    let begun = Instant::now();
    match question.split_once(' ').unwrap_or((question, "")) {
        ("fault", name) => {
            let Some(fault) = Fault::named(name.trim()) else { bail!(unknown_fault(name.trim())) };
            fault.make(&scene.watched).await?;
            teller.count_from(begun, fault.name());
            teller.tell(&format!("fault    {}", fault.done()));
            let story = match fault {
                Fault::Promoted => story::promote(scene, |text| teller.tell(text)).await?,
                _ => String::new(),
            };
            Ok(format!(
                "{}: {}.\n{story}Expect: {}.\nThe demo's terminal says what is told; `make demo-repair` puts it right.",
                fault.name(),
                fault.done(),
                fault.told()
            ))
        }
        ("repair", _) => {
            faults::repair(&scene.watched).await?;
            teller.count_from(begun, "the repair");
            teller.tell("repair   every fault is undone");
            Ok("Every fault is undone. Expect: all channels ok again within some seconds (config: with the next run of rsync), then \
                the alerts resolved. After two faults of one channel within 15 minutes it is a warning (flapping) for the rest of them; \
                after a promotion StandbyRolesChanged stays for half an hour."
                .to_owned())
        }
        _ => bail!("the demo understands `fault NAME` and `repair`, not `{question}`"),
    }
}

/// What to say of a name that is no fault's.
fn unknown_fault(name: &str) -> String {
    let known = Fault::ALL.map(Fault::name).join(", ");
    if name.is_empty() {
        format!("which fault? FAULT= one of {known}")
    } else {
        format!("there is no fault `{name}`; there are {known}")
    }
}
