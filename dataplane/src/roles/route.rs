//! From shards to the pods that hold them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use catalog_kube::{Placed, Streams};
use node_config::WIRE_PORT;
use rustls::pki_types::ServerName;
use shard::peers::{Connect, Connection, Peer, Pending, remote, set_up_socket};
use streams_api::{ByShard, ShardKey, Shards};
use tokio::net::TcpStream;
use wire::ShardRef;

use crate::tls::NodeTls;

/// How long it may take to reach a pod.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The pods that hold shards.
pub(super) type Routes = ByShard<Peer>;

/// Keeps up with where shards are, in the background.
pub(super) fn start(streams: Arc<Streams>, tls: Arc<NodeTls>) -> (Shards, Routes) {
    let (shards, routes) = (Shards::default(), Routes::default());
    let mut router = Router {
        shards: shards.clone(),
        routes: routes.clone(),
        tls,
        peers: HashMap::new(),
        routed: HashMap::new(),
    };
    let mut changes = streams.changes();
    router.route(&streams);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            router.route(&streams);
        }
    });
    (shards, routes)
}

struct Router {
    shards: Shards,
    routes: Routes,
    tls: Arc<NodeTls>,
    peers: HashMap<Pod, Peer>,
    /// Where each shard that has a handle is.
    routed: HashMap<ShardKey, Pod>,
}

/// A pod, by its name in DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pod {
    host: String,
}

impl Router {
    fn route(&mut self, streams: &Streams) {
        let mut present = HashSet::new();
        for (stream, placed) in streams.placed() {
            for placed in placed {
                let key = ShardKey { stream: stream.uid, shard: placed.shard };
                present.insert(key);
                let pod = Pod::of(&placed);
                if self.routed.get(&key) == Some(&pod) {
                    continue;
                }
                let peer = self.peers.entry(pod.clone()).or_insert_with(|| {
                    Peer::new(Way { pod: pod.clone(), tls: Arc::clone(&self.tls) })
                });
                let shard = ShardRef { stream: stream.uid.0, shard: placed.shard };
                self.shards.insert(key, remote(peer.clone(), shard));
                self.routes.insert(key, peer.clone());
                self.routed.insert(key, pod);
            }
        }
        let gone: Vec<ShardKey> =
            self.routed.keys().filter(|key| !present.contains(key)).copied().collect();
        for key in gone {
            self.shards.remove(key);
            self.routes.remove(key);
            self.routed.remove(&key);
        }
        let used: HashSet<&Pod> = self.routed.values().collect();
        self.peers.retain(|pod, _| used.contains(pod));
    }
}

impl Pod {
    fn of(placed: &Placed) -> Pod {
        let Placed { namespace, stateful_set, pod, .. } = placed;
        Pod { host: format!("{pod}.{stateful_set}.{namespace}.svc") }
    }
}

/// The way to a pod.
struct Way {
    pod: Pod,
    tls: Arc<NodeTls>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pod.host)
    }
}

impl Connect for Way {
    fn connect(&self) -> Pending<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let connected = async {
                let host = &self.pod.host;
                let socket = TcpStream::connect((host.as_str(), WIRE_PORT)).await?;
                let socket = set_up_socket(socket)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let connection = self.tls.connector().connect(name, socket).await?;
                Ok(Box::new(connection) as Box<dyn Connection>)
            };
            let connected = tokio::time::timeout(CONNECT_MAX, connected).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}
