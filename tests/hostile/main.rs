//! Bad input, against the agent as it is installed: servers that fail, lie or flood, requests that are none, configurations and
//! state that are broken. Whatever comes, the agent runs on, says why out of a closed list, shows no number that it does not
//! know, and no secret that it does.

mod answers;
mod faces;
mod files;
mod impostor;
mod peers;
mod postgres;
mod reload;
mod round_trips;
mod search;
mod secrets;
mod sessions;
mod starting;
mod state;
mod status_page;
mod stores;
mod versions;
mod watch;
