//! Asking pods about shards, over the node-to-node protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use model::{Clock, ShardId, ShardLoad};
use node_config::WIRE_PORT;
use operator_core::{Answer, Ask, Request};
use rustls_pki_types::ServerName;
use shard::SystemClock;
use shard::peers::{Connect, Connection, Peer, Pending, set_up_socket};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use wire::{Call, Reply, ShardRef};

use crate::metrics::{Answered, AskLabels, Asked, Metrics};

const ANSWER_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Whose shards these are, and where.
pub(crate) struct Shards {
    pub(crate) stream: u64,
    pub(crate) stateful_set: String,
    pub(crate) namespace: String,
}

impl Shards {
    /// One of their pods.
    fn peer(&self, pod: &str, tls: &Arc<ClientConfig>) -> Peer {
        let host = format!("{pod}.{}.{}.svc", self.stateful_set, self.namespace);
        Peer::new(Node { host, tls: Arc::clone(tls) })
    }
}

/// Asks all at once; what did not answer in time is told as failed.
pub(crate) async fn ask(
    asks: Vec<Ask>,
    shards: &Shards,
    tls: Arc<ClientConfig>,
    metrics: &Metrics,
) -> BTreeMap<ShardId, Answer> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    let mut calls = Vec::new();
    for Ask { pod, shard, what } in asks {
        let peer = peers.entry(pod).or_insert_with_key(|pod| shards.peer(pod, &tls));
        let (peer, shard_ref) = (peer.clone(), ShardRef { stream: shards.stream, shard });
        calls.push(async move {
            let (answer, outcome) = call(&peer, shard_ref, what).await;
            let what = match what {
                Request::Open => Asked::Open,
                Request::Close => Asked::Close,
                Request::Remove => Asked::Remove,
            };
            metrics.asks.get_or_create(&AskLabels { what, outcome }).inc();
            (shard, answer)
        });
    }
    join_all(calls).await.into_iter().collect()
}

/// Those of these pods in which io_uring is refused; `None` when one of them does not say.
pub(crate) async fn look(
    pods: Vec<String>,
    shards: &Shards,
    tls: Arc<ClientConfig>,
) -> Option<Vec<String>> {
    let looks = pods.into_iter().map(|pod| {
        let peer = shards.peer(&pod, &tls);
        async move {
            match tokio::time::timeout(ANSWER_MAX, peer.call(Call::Look)).await {
                Ok(Ok(Reply::Node { is_io_uring_refused })) => Some((pod, is_io_uring_refused)),
                _ => None,
            }
        }
    });
    let told: Option<Vec<_>> = join_all(looks).await.into_iter().collect();
    Some(told?.into_iter().filter(|(_, refused)| *refused).map(|(pod, _)| pod).collect())
}

/// What the pods of these shards tell of their load; those that do not answer are left out.
pub(crate) async fn weigh(
    weighs: Vec<(ShardId, String)>,
    shards: &Shards,
    quiet_for: Duration,
    tls: Arc<ClientConfig>,
) -> BTreeMap<ShardId, ShardLoad> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    let quiet_for = u64::try_from(quiet_for.as_millis()).unwrap_or(u64::MAX);
    let weighs = weighs.into_iter().map(|(shard, pod)| {
        let peer = peers.entry(pod).or_insert_with_key(|pod| shards.peer(pod, &tls)).clone();
        let call = Call::Load { shard: ShardRef { stream: shards.stream, shard }, quiet_for };
        async move {
            match tokio::time::timeout(ANSWER_MAX, peer.call(call)).await {
                Ok(Ok(Reply::Load(load))) => Some((shard, load?)),
                _ => None,
            }
        }
    });
    join_all(weighs).await.into_iter().flatten().collect()
}

/// Makes shards, each on its pod, forget a consumer; what keeps one of them from it, if anything does.
pub(crate) async fn forget(
    of: Vec<(ShardId, String)>,
    shards: &Shards,
    consumer: &str,
    tls: Arc<ClientConfig>,
) -> Result<(), String> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    let asked = of.into_iter().map(|(shard, pod)| {
        let peer = peers.entry(pod).or_insert_with_key(|pod| shards.peer(pod, &tls)).clone();
        let shard = ShardRef { stream: shards.stream, shard };
        async move {
            let call = peer.call(Call::ForgetConsumer { shard, consumer: consumer.to_owned() });
            match tokio::time::timeout(ANSWER_MAX, call).await {
                Ok(Ok(Reply::Done)) => Ok(()),
                Ok(Ok(other)) => Err(format!("its pod answers {other:?}")),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
            }
        }
    });
    join_all(asked).await.into_iter().collect()
}

async fn call(peer: &Peer, shard: ShardRef, what: Request) -> (Answer, Answered) {
    let call = match what {
        Request::Open => Call::Open(shard),
        Request::Close => Call::Close { shard, at: SystemClock.now() },
        Request::Remove => Call::Remove(shard),
    };
    let unreachable = |why: String| (Answer::Failed(why), Answered::Unreachable);
    match tokio::time::timeout(ANSWER_MAX, peer.call(call)).await {
        Ok(Ok(reply)) => understand(what, reply),
        Ok(Err(error)) => unreachable(error.to_string()),
        Err(_) => unreachable(format!("no answer within {} s", ANSWER_MAX.as_secs())),
    }
}

fn understand(what: Request, reply: Reply) -> (Answer, Answered) {
    match (what, reply) {
        (Request::Open, Reply::Done) => (Answer::Opened, Answered::Done),
        (Request::Remove, Reply::Done) => (Answer::Removed, Answered::Done),
        (Request::Close, Reply::Closed { end, at }) => (Answer::Closed { end, at }, Answered::Done),
        (_, Reply::Refused(refusal)) => {
            (Answer::Failed(format!("the pod refuses: {refusal:?}")), Answered::Refused)
        }
        (_, _) => {
            let why = "the pod answers something else: is it of another version?";
            (Answer::Failed(why.to_owned()), Answered::Refused)
        }
    }
}

/// A pod, by its name in DNS.
struct Node {
    host: String,
    tls: Arc<ClientConfig>,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl Connect for Node {
    fn connect(&self) -> Pending<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async {
            let connect = async {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                let socket = TcpStream::connect((self.host.as_str(), WIRE_PORT)).await?;
                let socket = set_up_socket(socket)?;
                TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await
            };
            let connected = tokio::time::timeout(CONNECT_MAX, connect).await;
            let socket = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Box::new(socket) as Box<dyn Connection>)
        })
    }
}
