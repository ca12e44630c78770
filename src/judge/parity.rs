//! Whether a standby could carry its primary's load: its machine against the primary's. Told is only what a standby has less of, since
//! more of it harms nobody; and other versions.

use std::fmt::Display;

use crate::evidence::{MachineEvidence, NodeEvidence, ParityEvidence, Roles};
use crate::facts::HostFacts;
use crate::names::Name;
use crate::units::Bytes;

/// Two machines of one kind differ by what their kernels and file systems keep for themselves.
const TOLERANCE: f64 = 0.95;

/// Each standby's machine against the primary's, of those that are known.
pub fn evidence(machines: &[MachineEvidence], servers: &[NodeEvidence], roles: &Roles) -> Vec<ParityEvidence> {
    let Some(primary) = roles.primary.as_ref().filter(|_| !roles.contradicted) else { return Vec::new() };
    let machine = |node: &Name| machines.iter().find(|machine| machine.node == *node).map(|machine| &machine.facts);
    let version = |node: &Name| servers.iter().find(|server| server.node == *node).and_then(|server| server.version);
    let of = |standby: &Name| {
        let machines = machine(standby).zip(machine(primary));
        let mut less = Vec::new();
        if let Some((own, its)) = machines {
            less.extend(lesser(own, its));
        }
        let versions = version(standby).zip(version(primary));
        less.extend(
            versions
                .filter(|(own, its)| own < its)
                .map(|(own, its)| words("PostgreSQL", PostgresVersion(own), PostgresVersion(its))),
        );
        let known = machines.is_some_and(|(own, its)| all_known(own) && all_known(its));
        let differs = (known || !less.is_empty()).then_some(less);
        ParityEvidence { standby: standby.clone(), differs }
    };
    // With no machine known there is no agent on any node, and nothing to tell.
    if machines.is_empty() { Vec::new() } else { roles.standbys.iter().map(of).collect() }
}

fn all_known(facts: &HostFacts) -> bool {
    facts.cpus.is_some() && facts.memory.is_some() && facts.disk.is_some() && facts.system.is_some()
}

fn lesser(own: &HostFacts, its: &HostFacts) -> Vec<String> {
    let mut less = Vec::new();
    if let Some((own, its)) = own.cpus.zip(its.cpus).filter(|(own, its)| own < its) {
        less.push(words("processors", own, its));
    }
    for (what, own, its) in [("memory", own.memory, its.memory), ("disk", own.disk, its.disk)] {
        let smaller = |(own, its): &(Bytes, Bytes)| own.as_f64() < its.as_f64() * TOLERANCE;
        less.extend(own.zip(its).filter(smaller).map(|(own, its)| words(what, own, its)));
    }
    if let Some((own, its)) = own.system.as_ref().zip(its.system.as_ref()).filter(|(own, its)| own != its) {
        less.push(words("system", own, its));
    }
    less
}

fn words(what: &str, own: impl Display, its: impl Display) -> String {
    format!("{what}: {own}, on the primary {its}")
}

/// `150018` as `15.18`.
struct PostgresVersion(u32);

impl Display for PostgresVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 / 10_000, self.0 % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(node: &str, cpus: u64, memory: u64, disk: u64, system: &str) -> MachineEvidence {
        let facts = HostFacts {
            cpus: Some(cpus),
            memory: Some(Bytes::mib(memory)),
            disk: Some(Bytes::mib(disk)),
            disk_free: Some(Bytes::mib(1)),
            system: Some(system.to_owned()),
        };
        MachineEvidence { node: Name::new(node), facts }
    }

    fn roles(primary: &str, standby: &str) -> Roles {
        Roles { primary: Some(Name::new(primary)), standbys: vec![Name::new(standby)], ..Roles::default() }
    }

    fn differs(machines: &[MachineEvidence], roles: &Roles) -> Option<Vec<String>> {
        evidence(machines, &[], roles).pop().and_then(|parity| parity.differs)
    }

    #[test]
    fn only_what_the_standby_has_less_of_is_told_and_only_from_its_side() {
        let machines = [machine("alpha", 8, 1000, 4000, "debian 12"), machine("beta", 4, 960, 3000, "debian 12")];
        let told = differs(&machines, &roles("alpha", "beta")).expect("both known");
        assert_eq!(told, ["processors: 4, on the primary 8", "disk: 2.9 GiB, on the primary 3.9 GiB"]);
        assert_eq!(differs(&machines, &roles("beta", "alpha")), Some(Vec::new()), "more of it harms nobody");
    }

    #[test]
    fn another_system_is_told_whichever_is_newer() {
        let machines = [machine("alpha", 8, 1000, 4000, "debian 12"), machine("beta", 8, 1000, 4000, "debian 13")];
        assert_eq!(
            differs(&machines, &roles("alpha", "beta")),
            Some(vec!["system: debian 13, on the primary debian 12".to_owned()])
        );
    }

    #[test]
    fn what_is_not_known_is_no_parity() {
        let one = [machine("alpha", 8, 1000, 4000, "debian 12")];
        assert_eq!(differs(&one, &roles("alpha", "beta")), None);
        let mut both = [machine("alpha", 8, 1000, 4000, "x"), machine("beta", 8, 1000, 4000, "x")];
        both[1].facts.disk = None;
        assert_eq!(differs(&both, &roles("alpha", "beta")), None, "the disk might be smaller");
        both[1].facts.cpus = Some(2);
        assert!(differs(&both, &roles("alpha", "beta")).is_some(), "one thing that is less is enough");
        assert_eq!(differs(&both, &Roles::default()), None, "nobody knows which is the standby");
    }
}
