//! Who may see more than metrics: this machine only, until authentication is configured.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HOST;
use hyper::{Request, Uri};

/// What others are told.
pub(super) const HOW_TO_OPEN: &str = "Only this machine may see this page: open http://localhost on it, or forward a port \
     with `ssh -L 19517:localhost:19517 HOST` and open http://localhost:19517.";

/// The connection comes from loopback *and* names a loopback host: a name that a stranger's DNS points at 127.0.0.1 (with which a
/// web page could read ours through the user's browser) is not enough.
pub(super) fn is_this_machine<B>(request: &Request<B>, peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback() && names_loopback(request)
}

fn names_loopback<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let by_header = host.to_str().is_ok_and(is_loopback_authority);
    // A request to a proxy's address form carries a second host.
    let by_target = request.uri().authority().is_none_or(|authority| is_loopback_authority(authority.as_str()));
    by_header && by_target
}

fn is_loopback_authority(authority: &str) -> bool {
    let Ok(uri) = Uri::try_from(authority) else { return false };
    let Some(parsed) = uri.authority() else { return false };
    if authority.contains('@') {
        return false;
    }
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_count() {
        for loopback in
            ["localhost", "LOCALHOST:19517", "127.0.0.1", "127.8.9.1:80", "[::1]:19517", "[::1]", "localhost."]
        {
            assert!(is_loopback_authority(loopback), "{loopback}");
        }
        let strangers = [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "a@localhost",
            "[::2]",
            "/",
        ];
        for stranger in strangers {
            assert!(!is_loopback_authority(stranger), "{stranger}");
        }
    }

    #[test]
    fn both_the_peer_and_the_host_must_be_loopback() {
        let request = |host: &str| Request::builder().uri("/").header(HOST, host).body(()).unwrap();
        let local: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:5000".parse().unwrap();
        let remote: SocketAddr = "10.0.0.7:5000".parse().unwrap();
        assert!(is_this_machine(&request("localhost"), local));
        assert!(is_this_machine(&request("localhost"), mapped));
        assert!(!is_this_machine(&request("localhost"), remote));
        assert!(!is_this_machine(&request("evil.example"), local));
        let two = Request::builder().uri("/").header(HOST, "localhost").header(HOST, "evil.example").body(()).unwrap();
        assert!(!is_this_machine(&two, local));
        let none = Request::builder().uri("/").body(()).unwrap();
        assert!(!is_this_machine(&none, local));
        let absolute = Request::builder().uri("http://evil.example/").header(HOST, "localhost").body(()).unwrap();
        assert!(!is_this_machine(&absolute, local));
    }
}
