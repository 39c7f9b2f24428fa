use super::*;
use crate::sinks::testing::{Act, Server, TestSecrets, raw_reply, reply, tls_acceptor};

const TIMEOUT: Duration = Duration::from_secs(10);

fn connector(tls: Option<ClientTls>, secrets: &Arc<TestSecrets>, timeout: Duration) -> Connector {
    Connector::new(tls, Arc::clone(secrets) as Arc<dyn Secrets>, timeout)
}

async fn post(connector: &Connector, url: &str) -> Result<Reply, TransferError> {
    send(connector.client()?.post(url).body("x"), 8).await
}

async fn post_plain(act: Act) -> (Result<Reply, TransferError>, Server) {
    let timeout = if matches!(act, Act::Silence) { Duration::from_millis(100) } else { TIMEOUT };
    let server = Server::scripted(vec![act]).await;
    let connector = connector(None, &Arc::default(), timeout);
    (post(&connector, &server.url).await, server)
}

#[tokio::test]
async fn a_reply_is_read_up_to_its_limit() {
    for (body, is_cut) in [("", false), ("12345678", false), ("123456789", true)] {
        let (got, server) = post_plain(reply(404, &["X-Y: z"], body)).await;
        let got = got.unwrap();
        assert_eq!((got.status, got.header("x-y"), got.is_cut), (404, Some("z"), is_cut));
        assert_eq!(got.body, &body.as_bytes()[..body.len().min(8)]);
        let agent = format!("leat/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(server.received()[0].header("user-agent"), Some(agent.as_str()));
    }
}

#[tokio::test]
async fn redirects_are_replies() {
    let (got, server) = post_plain(reply(307, &["Location: /elsewhere"], "")).await;
    assert_eq!((got.unwrap().status, server.received().len()), (307, 1));
}

#[tokio::test]
async fn a_request_without_a_reply_says_why() {
    let check = |got: Result<Reply, TransferError>, want: &str| match got.unwrap_err() {
        TransferError::Timeout if want == "timeout" => {}
        TransferError::Lost(_) if want == "lost" => {}
        TransferError::Connect(_) if want == "connect" => {}
        TransferError::Request(_) if want == "request" => {}
        other => panic!("{other:?} instead of {want}"),
    };
    check(post_plain(Act::Silence).await.0, "timeout");
    check(post_plain(Act::Say(Vec::new())).await.0, "lost");
    check(post_plain(Act::Say(b"SSH-2.0-OpenSSH\r\n".to_vec())).await.0, "lost");
    check(post_plain(raw_reply(200, &["Content-Length: 5"], "123")).await.0, "lost");
    let connector = connector(None, &Arc::default(), TIMEOUT);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = post(&connector, &format!("http://user:secret@127.0.0.1:{port}/")).await;
    let text = refused.clone().unwrap_err().to_string();
    assert!(text.contains("refused") && !text.contains("secret"), "{text}");
    check(refused, "connect");
    check(post(&connector, "http://").await, "request");
    let secret = secret_header(b"a\nb").map(|_| Reply::default());
    check(secret, "request");
}

async fn tls_server(name: &str) -> (String, Server) {
    let (ca, acceptor) = tls_acceptor(name);
    (ca, Server::start_with(Some(acceptor), |_| reply(200, &[], "")).await)
}

#[tokio::test]
async fn only_the_authorities_of_the_resource_are_trusted() {
    let secrets = Arc::<TestSecrets>::default();
    let (ca, server) = tls_server("127.0.0.1").await;
    let (other_ca, _) = tls_server("127.0.0.1").await;
    let tls = ClientTls { ca_ref: Some(secrets.set("ca", &other_ca)), insecure_skip_verify: None };
    let connector = connector(Some(tls), &secrets, TIMEOUT);
    let is_tls = |got: Result<Reply, TransferError>, want_wrong_name: bool| {
        let Err(TransferError::Tls { is_wrong_name, .. }) = got else { panic!("{got:?}") };
        assert_eq!(is_wrong_name, want_wrong_name);
    };
    is_tls(post(&connector, &server.url).await, false);
    // A Secret that changes is taken up by the next request.
    secrets.set("ca", &ca);
    assert_eq!(post(&connector, &server.url).await.unwrap().status, 200);
    secrets.set("ca", "no certificate");
    let invalid = post(&connector, &server.url).await.unwrap_err();
    assert!(matches!(invalid, TransferError::Authorities(_)), "{invalid:?}");

    let (ca, server) = tls_server("elsewhere.example").await;
    secrets.set("ca", &ca);
    is_tls(post(&connector, &server.url).await, true);
}

#[tokio::test]
async fn any_certificate_is_trusted_when_the_resource_says_so() {
    let (_, server) = tls_server("elsewhere.example").await;
    let strict = connector(None, &Arc::default(), TIMEOUT);
    let refused = post(&strict, &server.url).await.unwrap_err();
    assert!(matches!(refused, TransferError::Tls { .. }), "{refused:?}");
    let tls = ClientTls { ca_ref: None, insecure_skip_verify: Some(true) };
    let lax = connector(Some(tls), &Arc::default(), TIMEOUT);
    assert_eq!(post(&lax, &server.url).await.unwrap().status, 200);
}

#[test]
fn line_ends_of_secrets_are_taken_off() {
    let secrets = Arc::<TestSecrets>::default();
    let connector = connector(None, &secrets, TIMEOUT);
    for (value, want) in [("a", "a"), ("a\n", "a"), ("a\r\n\n", "a"), ("\n", ""), ("a b ", "a b ")]
    {
        assert_eq!(connector.secret(&secrets.set("x", value)).unwrap(), want.as_bytes());
    }
    let missing = SecretRef { name: "s".into(), key: "none".into() };
    let error = connector.secret(&missing).unwrap_err().to_string();
    assert_eq!(error, "there is no entry none in Secret s: create it");
}
