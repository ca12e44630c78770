//! `POST /api/v1/node/store`: another node's agent asks what this node's store holds, since it cannot reach it itself. Reads only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::names::Name;
use crate::probe::kvstore::exchange::{MAX_QUESTION, OwnStore, PATH, Replied};
use crate::serve::answer::{self, Answer};
use crate::serve::routes;
use crate::serve::{Caller, ServeState};

/// The question itself must have come within this time.
const QUESTION_WITHIN: Duration = Duration::from_secs(5);

/// The stores that are answered for, by pair.
pub type OwnStores = BTreeMap<Name, Arc<OwnStore>>;

/// Whether this is for [`store`].
pub(super) fn asks_for_store<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}

/// The answer to one question. Who is let in is decided before anything of it is read.
pub(super) async fn store(request: Request<Incoming>, caller: Caller, state: &ServeState) -> Answer {
    if let Err(refused) = routes::let_agent_in(&request, caller, state) {
        return *refused;
    }
    if *request.method() != Method::POST {
        return answer::only_post();
    }
    let Some(store) = routes::pair_asked_for(&request).and_then(|pair| state.own_store(&pair)) else {
        return answer::json_error(
            StatusCode::NOT_FOUND,
            "No store of this node is answered for in a pair of this name.",
        );
    };
    let read = tokio::time::timeout(QUESTION_WITHIN, Limited::new(request.into_body(), MAX_QUESTION).collect()).await;
    let Ok(Ok(question)) = read else {
        let message = "The question is too long, or did not come whole.";
        return answer::closing(answer::json_error(StatusCode::PAYLOAD_TOO_LARGE, message));
    };
    match store.reply(&question.to_bytes()).await {
        Replied::Here(told) => answer::json(StatusCode::OK, told),
        Replied::Refused(why) => answer::json_error(StatusCode::BAD_REQUEST, &why),
    }
}
