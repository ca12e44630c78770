//! `standbywatch peer init`: what the agents of a pair know each other by, made once for all nodes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::crypto;

use crate::config::Fingerprint;
use crate::http_client::sha256;

/// What the certificate says it is of. Agents look at its fingerprint, not at this.
const NAME: &str = "standbywatch-peer";
/// Bytes of the token, from the system's generator.
const TOKEN_BYTES: usize = 32;

/// `standbywatch peer …`
#[derive(Debug, Args)]
pub struct PeerArgs {
    #[command(subcommand)]
    command: PeerCommand,
}

#[derive(Debug, Subcommand)]
enum PeerCommand {
    /// Make key, certificate and token for the agents of a pair; copy the same three files to every node.
    Init(InitArgs),
}

/// Flags of `peer init`.
#[derive(Debug, Args)]
struct InitArgs {
    /// Where the files are written; none may be there yet.
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/standbywatch")]
    directory: PathBuf,
}

/// Exit code 0, or 1 if a file is there already or cannot be written.
pub fn run(args: &PeerArgs) -> ExitCode {
    let PeerCommand::Init(InitArgs { directory }) = &args.command;
    match init(directory) {
        Ok((directory, fingerprint)) => {
            let token = directory.join(TOKEN);
            eprintln!(
                "Made {CERTIFICATE}, {KEY} and {TOKEN} in {0}.\n\
                 1. Copy the three to the same place on every other node, with `scp -p` or the like.\n\
                 2. On every node, give them to the user that runs standbywatch, who alone may read {KEY} and {TOKEN}:\n   \
                    chown standbywatch: {0}/peer.*\n\
                 3. Name each node's `agent: https://ADDRESS:19517` in the configuration, and add to it, on every node alike:\n",
                directory.display()
            );
            println!("peer:\n  token_file: {}\n  fingerprint: {fingerprint}", in_yaml(&token));
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("standbywatch: {text}");
            ExitCode::FAILURE
        }
    }
}

const CERTIFICATE: &str = "peer.crt";
const KEY: &str = "peer.key";
const TOKEN: &str = "peer.token";

/// Makes the files; returns where they are, from `/` on, as the configuration wants it.
fn init(directory: &Path) -> Result<(PathBuf, Fingerprint), String> {
    let (certificate, key, fingerprint) = certificate().map_err(|error| format!("no certificate: {error}"))?;
    let token = token()?;
    let wrong = |error: io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(wrong)?;
    let directory = std::path::absolute(directory).map_err(wrong)?;
    let files = [(KEY, 0o600, key), (TOKEN, 0o600, token), (CERTIFICATE, 0o644, certificate)];
    if let Some((name, ..)) = files.iter().find(|(name, ..)| directory.join(name).exists()) {
        return Err(format!(
            "{} is there already, and agents may be using it; remove {KEY}, {TOKEN} and {CERTIFICATE} first if all nodes are to \
             get new ones",
            directory.join(name).display()
        ));
    }
    for (name, mode, text) in files {
        let path = directory.join(name);
        write_new(&path, mode, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok((directory, fingerprint))
}

/// A path as it may stand in the configuration: quoted if it has more in it than paths usually have.
fn in_yaml(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// Certificate and key in PEM. It does not run out before the year 4096: nothing but its fingerprint counts, and a certificate that
/// runs out some night blinds a pair.
fn certificate() -> Result<(String, String, Fingerprint), rcgen::Error> {
    let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem(), Fingerprint(sha256(certificate.der()))))
}

fn token() -> Result<String, String> {
    let mut bytes = [0; TOKEN_BYTES];
    let random = crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
}

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{PeerConfig, SecretSource};
    use crate::serve::peer::PeerAccess;

    #[test]
    fn what_is_made_fits_together_is_hidden_and_is_never_overwritten() {
        let directory = std::env::temp_dir().join(format!("standbywatch-peer-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let (_, fingerprint) = init(&directory).unwrap();
        let peer = |fingerprint| PeerConfig {
            token: SecretSource::File(directory.join(TOKEN)),
            fingerprint: Some(fingerprint),
            certificate: directory.join(CERTIFICATE),
            key: directory.join(KEY),
        };
        assert!(PeerAccess::load(&peer(fingerprint)).is_ok());
        let other = PeerAccess::load(&peer(Fingerprint([7; 32]))).map(|_| ()).unwrap_err();
        assert!(other.contains("must belong together"), "{other}");
        for (name, mode) in [(KEY, 0o600), (TOKEN, 0o600), (CERTIFICATE, 0o644)] {
            let is = fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(is, mode, "{name}");
        }
        assert_eq!(fs::read_to_string(directory.join(TOKEN)).unwrap().trim().len(), 2 * TOKEN_BYTES);
        assert!(init(&directory).unwrap_err().contains("is there already"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_printed_can_stand_in_the_configuration() {
        assert_eq!(in_yaml(Path::new("/etc/standbywatch/peer.token")), "/etc/standbywatch/peer.token");
        assert_eq!(in_yaml(Path::new("/srv/it's: here #1/peer.token")), "'/srv/it''s: here #1/peer.token'");
        let directory = std::env::temp_dir().join(format!("standbywatch-peer-dots-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let (told, _) = init(&directory.join("./in")).unwrap();
        assert_eq!(told, directory.join("in"), "no dots");
        fs::remove_dir_all(&directory).unwrap();
    }
}
