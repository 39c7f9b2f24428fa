//! Requests by HTTP/1.1.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{DROP_PAUSE, Fault, STALLED, Way, say_slowly};

const RETRY_AFTER_SECONDS: u64 = 2;

type Answer = Response<Full<Bytes>>;

/// The connection ends, and with what. What the server did is not known to whoever asked.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends")]
enum Ending {
    /// With nothing.
    Cut,
    /// With the beginning of an answer.
    Within(Bytes),
    /// With an answer that comes drop by drop.
    Slowly(Bytes),
}

/// Serves a connection until it ends.
pub(super) async fn serve(socket: TcpStream, way: Arc<Way>) {
    let service = service_fn(|request| Box::pin(respond(request, Arc::clone(&way))));
    let mut served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    let ended = std::future::poll_fn(|context| served.poll_without_shutdown(context)).await;
    let mut socket = served.into_parts().io.into_inner();
    let Err(error) = ended else { return };
    match std::error::Error::source(&error).and_then(|source| source.downcast_ref()) {
        // Whoever asked may be gone.
        Some(Ending::Within(bytes)) => drop(socket.write_all(bytes).await),
        Some(Ending::Slowly(bytes)) => say_slowly(&mut socket, bytes.clone()).await,
        Some(Ending::Cut) | None => {}
    }
}

async fn respond(request: Request<Incoming>, way: Arc<Way>) -> Result<Answer, Ending> {
    let (head, body) = request.into_parts();
    let Some(fault) = way.next(|fault| may_suffer(&head, fault)) else {
        let body = whole(body).await?;
        return pass(&way, head, body).await;
    };
    let body = match fault {
        Fault::Slow => slowly(body).await?,
        _ => whole(body).await?,
    };
    match fault {
        Fault::CutBefore | Fault::Refused => Err(Ending::Cut),
        Fault::CutAfter => {
            pass(&way, head, body).await?;
            Err(Ending::Cut)
        }
        Fault::CutWithin => {
            let answer = plain(pass(&way, head, body).await?).await;
            Err(Ending::Within(answer.slice(..answer.len() / 2)))
        }
        Fault::Stalled => {
            pass(&way, head, body).await?;
            tokio::time::sleep(STALLED).await;
            Err(Ending::Cut)
        }
        Fault::Slow => Err(Ending::Slowly(plain(pass(&way, head, body).await?).await)),
        Fault::Busy => Ok(instead(StatusCode::TOO_MANY_REQUESTS)),
        Fault::BusyFor => {
            let mut answer = instead(StatusCode::TOO_MANY_REQUESTS);
            answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            Ok(answer)
        }
        Fault::Broken => Ok(instead(StatusCode::INTERNAL_SERVER_ERROR)),
        Fault::Unavailable => Ok(instead(StatusCode::SERVICE_UNAVAILABLE)),
        Fault::BrokenAfter => {
            pass(&way, head, body).await?;
            Ok(instead(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Fault::UnavailableAfter => {
            pass(&way, head, body).await?;
            Ok(instead(StatusCode::SERVICE_UNAVAILABLE))
        }
        Fault::Partial => partly(&way, head, &body).await,
    }
}

fn may_suffer(head: &Parts, fault: Fault) -> bool {
    let path = head.uri.path();
    match fault {
        Fault::Partial => path.ends_with("/_bulk"),
        // A collector forgets what it has acknowledged, and Leat waits three minutes before it knows.
        Fault::CutAfter
        | Fault::CutWithin
        | Fault::Stalled
        | Fault::BrokenAfter
        | Fault::UnavailableAfter => !path.ends_with("/collector/ack"),
        _ => true,
    }
}

async fn whole(body: Incoming) -> Result<Bytes, Ending> {
    Ok(body.collect().await.map_err(|_| Ending::Cut)?.to_bytes())
}

async fn slowly(mut body: Incoming) -> Result<Bytes, Ending> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        bytes.extend(frame.map_err(|_| Ending::Cut)?.into_data().unwrap_or_default());
        tokio::time::sleep(DROP_PAUSE / 20).await;
    }
    Ok(bytes.into())
}

/// Has the server carry a request out.
async fn pass(way: &Way, head: Parts, body: Bytes) -> Result<Answer, Ending> {
    let asked = async {
        let socket = TokioIo::new(way.server().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
        // It ends with the answer.
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        // It is sent on in one piece.
        head.headers.remove(TRANSFER_ENCODING);
        anyhow::Ok(Response::from_parts(head, Full::new(body)))
    };
    // The server may be the one that is not well.
    asked.await.map_err(|_| Ending::Cut)
}

fn instead(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"a bad day")));
    *answer.status_mut() = status;
    answer
}

/// An answer as it is on the wire.
async fn plain(answer: Answer) -> Bytes {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let length = format!("{CONTENT_LENGTH}: {}\r\nconnection: close\r\n\r\n", body.len());
    bytes.extend(length.into_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// Takes each third document out of a bulk request, and says of it that there were too many.
async fn partly(way: &Way, mut head: Parts, body: &Bytes) -> Result<Answer, Ending> {
    let lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
    let is_taken_out = |at: usize| at % 3 == 2;
    let documents = lines.chunks(2).enumerate();
    let kept: Vec<u8> = documents
        .filter(|(at, _)| !is_taken_out(*at))
        .flat_map(|(_, lines)| lines.concat())
        .collect();
    head.headers.insert(CONTENT_LENGTH, kept.len().into());
    let answer = pass(way, head, kept.into()).await?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(mut told) = serde_json::from_slice::<Value>(&body) else {
        return Ok(Response::from_parts(head, Full::new(body)));
    };
    let Some(items) = told["items"].as_array_mut() else {
        return Ok(Response::from_parts(head, Full::new(body)));
    };
    let error = json!({"type": "es_rejected_execution_exception", "reason": "a bad day"});
    for at in (0..lines.len() / 2).filter(|at| is_taken_out(*at)) {
        items.insert(at, json!({"index": {"status": 429, "error": error}}));
    }
    told["errors"] = true.into();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Ok(Response::from_parts(head, Full::new(told.to_string().into())))
}
