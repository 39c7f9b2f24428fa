//! Metrics and health of a process that serves no AWS endpoint.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use telemetry::Readiness;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time: a few scrapers and the kubelet.
const CONNECTIONS_MAX: usize = 64;

/// Serves `/metrics`, `/livez` and `/readyz`.
pub(crate) async fn serve(listener: TcpListener, registry: Arc<Registry>, readiness: Readiness) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&connections).acquire_owned().await;
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (registry, readiness) = (Arc::clone(&registry), readiness.clone());
        let service = hyper::service::service_fn(move |request| {
            let answer = answer(&request, &registry, &readiness);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            let connection = builder.timer(TokioTimer::new());
            // One that ends early is the other side's business.
            let _ = connection.serve_connection(TokioIo::new(socket), service).await;
            drop(slot);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    registry: &Registry,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/metrics" => match telemetry::metrics_text(registry) {
            Ok(text) => (StatusCode::OK, text),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n".into()),
        },
        "/livez" => (StatusCode::OK, "ok\n".into()),
        "/readyz" if readiness.is_ready() => (StatusCode::OK, "ok\n".into()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".into()),
        _ => (StatusCode::NOT_FOUND, "not found\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static(telemetry::METRICS_CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
