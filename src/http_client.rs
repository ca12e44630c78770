//! A small HTTP/1 client over plain TCP or TLS: one connection at a time, everything bounded, failures of closed kinds.
//!
//! It follows no redirect, keeps no cookie and asks no proxy: a monitor talks to exactly the address that it was given.

mod pinned;
#[cfg(test)]
mod tests;
pub mod trust;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::facts::Failure;
use crate::names::FailureKind;
use crate::secret::Secret;

pub use pinned::sha256;

/// The head of an answer may be this long, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// What a server answered, whatever the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// What stands in its head.
    pub headers: HeaderMap,
    /// The whole body, never longer than the caller allowed.
    pub body: Vec<u8>,
    /// What was sent along and must not be shown, should the server repeat it.
    pub hidden: Vec<Secret>,
}

impl Response {
    /// The status is 2xx.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    /// The beginning of the body on one line, for messages: at most `limit` characters, and no secret of ours.
    pub fn excerpt(&self, limit: usize) -> String {
        self.excerpt_of(&String::from_utf8_lossy(&self.body), limit)
    }

    /// The same of a text that may quote the body.
    pub fn excerpt_of(&self, text: &str, limit: usize) -> String {
        let text = self.hidden.iter().fold(text.to_owned(), |text, secret| secret.masked_in(&text));
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match one_line.char_indices().nth(limit) {
            Some((cut, _)) => format!("{}…", &one_line[..cut]),
            None => one_line,
        }
    }
}

/// Why there is no answer. An answer with an error status is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// Out of the closed list.
    pub kind: FailureKind,
    /// The cause, for people; holds no secret.
    pub message: String,
}

impl HttpError {
    fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::new(error.kind, error.message)
    }
}

/// Asks `url` once over a connection of its own; connecting and the whole answer take at most `deadline`.
///
/// # Errors
/// See [`HttpError`]; a URL that is not `http(s)://host…` is `unreachable`.
pub async fn get(
    url: &str,
    headers: &[(&str, &str)],
    deadline: Duration,
    max_body: usize,
) -> Result<Response, HttpError> {
    let (mut connection, path) = Connection::for_url(url)?;
    within(deadline, connection.send(Method::GET, &path, headers, Vec::new(), max_body)).await
}

/// Sends `body` to `url` once over a connection of its own; connecting and the whole answer take at most `deadline`.
///
/// # Errors
/// As [`get`].
pub async fn post(
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
    deadline: Duration,
    max_body: usize,
) -> Result<Response, HttpError> {
    let (mut connection, path) = Connection::for_url(url)?;
    within(deadline, connection.send(Method::POST, &path, headers, body, max_body)).await
}

async fn within<T>(deadline: Duration, work: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::new(
            FailureKind::Timeout,
            format!("no complete answer within {}", crate::units::duration_text(deadline)),
        )),
    }
}

/// Where a server listens and how to introduce oneself.
#[derive(Clone)]
struct Endpoint {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// As it stands in the `Host` header.
    authority: String,
    /// Put before every path; empty or begins with `/` and does not end with it.
    prefix: String,
    authorization: Option<HeaderValue>,
    /// Whom to trust instead of whom the system trusts.
    trusts: Option<Arc<ClientConfig>>,
    /// The password in both forms in which it is sent.
    hidden: Vec<Secret>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.authority)
    }
}

/// One live connection to one server, made when it is first needed and again when it was lost.
pub struct Connection {
    endpoint: Endpoint,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Drives the connection; dropping it closes the connection, so that no timeout leaves one behind.
    driver: JoinSet<()>,
}

impl Connection {
    /// To the server of `base_url`; a path in it is put before the paths of all requests, `user:password@` becomes basic
    /// authentication.
    ///
    /// # Errors
    /// Text that is not `http(s)://host…`.
    pub fn new(base_url: &str) -> Result<Self, HttpError> {
        let (mut connection, path) = Self::for_url(base_url)?;
        let path = path.split('?').next().unwrap_or_default();
        path.trim_end_matches('/').clone_into(&mut connection.endpoint.prefix);
        Ok(connection)
    }

    /// Sends basic authentication with every request.
    pub fn authenticate(&mut self, user: &str, password: &str) {
        (self.endpoint.authorization, self.endpoint.hidden) = basic_authorization(user, password);
    }

    /// Sends `scheme` (`Bearer`, `ApiKey`) and this secret with every request, and never shows the secret.
    ///
    /// # Errors
    /// A secret that cannot stand in a header: `authentication`.
    pub fn authorize(&mut self, scheme: &str, secret: &Secret) -> Result<(), HttpError> {
        let value = HeaderValue::try_from(format!("{scheme} {}", secret.expose()));
        let mut value = value.map_err(|_| {
            let message = format!("the {scheme} secret has characters that no header takes; write it on one line");
            HttpError::new(FailureKind::Authentication, message)
        })?;
        value.set_sensitive(true);
        (self.endpoint.authorization, self.endpoint.hidden) = (Some(value), vec![secret.clone()]);
        Ok(())
    }

    /// Trusts the certificates in `root` (without it, the system's), and shows the client's certificate with its key.
    ///
    /// # Errors
    /// A file that cannot be read or holds nothing of that kind: `tls`.
    pub fn secure(&mut self, root: Option<&Path>, client: Option<(&Path, &Path)>) -> Result<(), HttpError> {
        self.endpoint.trusts = Some(trust::with(root, client)?);
        Ok(())
    }

    /// Trusts the certificates in this file instead of the system's.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate: `tls`.
    pub fn trust_only(&mut self, file: &Path) -> Result<(), HttpError> {
        self.endpoint.trusts = Some(trust::of_file(file)?);
        Ok(())
    }

    /// Trusts the one certificate with this fingerprint, whatever name it is for, instead of the system's.
    ///
    /// # Errors
    /// TLS that cannot be set up: `tls`.
    pub fn trust_fingerprint(&mut self, fingerprint: [u8; 32]) -> Result<(), HttpError> {
        self.endpoint.trusts = Some(pinned::only(fingerprint)?);
        Ok(())
    }

    /// Asks for `path` (with its query). The caller sets the deadline; dropping the future closes the connection.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&mut self, path: &str, max_body: usize) -> Result<Response, HttpError> {
        self.send(Method::GET, path, &[], Vec::new(), max_body).await
    }

    /// Sends one request. A request over a connection that the server had closed meanwhile is made again over a new one if
    /// it was not sent yet, or if it is a GET.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        max_body: usize,
    ) -> Result<Response, HttpError> {
        let body = Bytes::from(body);
        // Taken out, so that a request that was given up half-way never leaves its connection to the next one.
        let used = self.sender.take().filter(|sender| !sender.is_closed());
        if let Some(mut sender) = used {
            let request = self.request(method.clone(), path, headers, body.clone())?;
            match sender.send_request(request).await {
                Ok(answer) => return self.finish(sender, answer, max_body).await,
                Err(error) if error.is_canceled() || method == Method::GET => {}
                Err(error) => return Err(exchange_error(&self.endpoint, &error)),
            }
        }
        let mut sender = self.connect().await?;
        let request = self.request(method, path, headers, body)?;
        let answer = sender.send_request(request).await.map_err(|error| exchange_error(&self.endpoint, &error))?;
        self.finish(sender, answer, max_body).await
    }

    /// To the server of `url`, and the path with the query that is to be asked for there.
    ///
    /// # Errors
    /// Text that is not `http(s)://host…`.
    pub fn for_url(url: &str) -> Result<(Self, String), HttpError> {
        let (endpoint, path) = parse(url)?;
        Ok((Self { endpoint, sender: None, driver: JoinSet::new() }, path))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        let wrong = |error: hyper::http::Error| HttpError::new(FailureKind::Protocol, error);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint.prefix))
            .header(HOST, &self.endpoint.authority)
            .header(USER_AGENT, concat!("standbywatch/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(wrong)?;
        if let Some(authorization) = &self.endpoint.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).map_err(|error| wrong(error.into()))?;
            let value = HeaderValue::try_from(*value).map_err(|error| wrong(error.into()))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        self.driver.abort_all();
        self.driver = JoinSet::new();
        let endpoint = &self.endpoint;
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(|error| connect_error(endpoint, &error))?;
        // Requests are small and wait for their answer.
        let _ = tcp.set_nodelay(true);
        if !endpoint.tls {
            return self.handshake(tcp).await;
        }
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|error| HttpError::new(FailureKind::Tls, format!("{endpoint}: {error}")))?;
        let tls = TlsConnector::from(match &endpoint.trusts {
            Some(config) => config.clone(),
            None => trust::of_the_system()?,
        })
        .connect(name, tcp)
        .await
        .map_err(|error| HttpError::new(FailureKind::Tls, format!("TLS with {endpoint}: {error}")))?;
        self.handshake(tls).await
    }

    async fn handshake<S>(&mut self, stream: S) -> Result<SendRequest<Full<Bytes>>, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| exchange_error(&self.endpoint, &error))?;
        self.driver.spawn(async move {
            // Its error, if there is one, reaches the request too.
            let _ = driver.await;
        });
        Ok(sender)
    }

    /// Reads the answer's body and keeps the connection if it may be used again.
    async fn finish(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        mut answer: hyper::Response<Incoming>,
        max_body: usize,
    ) -> Result<Response, HttpError> {
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        match Limited::new(answer.into_body(), max_body).collect().await {
            Ok(body) => {
                self.sender = Some(sender);
                Ok(Response { status, headers, body: body.to_bytes().to_vec(), hidden: self.endpoint.hidden.clone() })
            }
            Err(error) if error.is::<LengthLimitError>() => Err(HttpError::new(
                FailureKind::TooLarge,
                format!("the answer of {} is over {}", self.endpoint, crate::units::Bytes(max_body as u64)),
            )),
            Err(error) => Err(HttpError::new(
                FailureKind::Protocol,
                format!("the answer of {} was cut short: {error}", self.endpoint),
            )),
        }
    }
}

/// The endpoint of a URL, and its path with query.
fn parse(url: &str) -> Result<(Endpoint, String), HttpError> {
    let wrong = |what: &str| {
        HttpError::new(FailureKind::Unreachable, format!("{what}: write http://host:port or https://host:port"))
    };
    let uri: Uri = url.trim().parse().map_err(|_| wrong("not a URL"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("not an http or https URL")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("a URL without a host"))?;
    let host = authority.host();
    if host.is_empty() {
        return Err(wrong("a URL without a host"));
    }
    let user_info = authority.as_str().rsplit_once('@').map(|(user_info, _)| user_info);
    let (authorization, hidden) = user_info.map_or((None, Vec::new()), |user_info| {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        basic_authorization(&percent_decoded(user), &percent_decoded(password))
    });
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let endpoint = Endpoint {
        tls,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        authority: match authority.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        },
        prefix: String::new(),
        authorization,
        trusts: None,
        hidden,
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((endpoint, path.to_owned()))
}

/// The header, and what of it must never be shown.
fn basic_authorization(user: &str, password: &str) -> (Option<HeaderValue>, Vec<Secret>) {
    let encoded = BASE64.encode(format!("{user}:{password}"));
    let value = HeaderValue::try_from(format!("Basic {encoded}")).ok().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    (value, vec![Secret::new(encoded), Secret::new(password)])
}

/// Text with each `%2F` and the like put back. What is not valid stays as it is.
pub fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn connect_error(endpoint: &Endpoint, error: &io::Error) -> HttpError {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => FailureKind::Refused,
        io::ErrorKind::TimedOut => FailureKind::Timeout,
        _ => FailureKind::Unreachable,
    };
    HttpError::new(kind, format!("connecting to {endpoint}: {error}"))
}

/// The connection stood, the exchange failed: what came was not HTTP, or not all of it.
fn exchange_error(endpoint: &Endpoint, error: &hyper::Error) -> HttpError {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_parse_too_large() {
        FailureKind::TooLarge
    } else {
        FailureKind::Protocol
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    HttpError::new(kind, format!("asking {endpoint}: {error}{cause}"))
}
