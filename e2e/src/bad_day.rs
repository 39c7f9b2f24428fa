//! A proxy between Leat and a destination that has a bad day.
//!
//! Every few requests one suffers a [`Fault`]. Which, and when, comes from a seed: the kinds are dealt like
//! cards, so that all have come before one comes again. A request that suffers none passes unchanged,
//! `Host` and signature too, each by a connection of its own; those from Leat are kept open.

mod database;
mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::destinations::free_ports;

/// Longer than the pause before Leat's first retry.
const REFUSING: Duration = Duration::from_millis(2_500);
/// Not as long as Leat waits for an answer, which is minutes.
const STALLED: Duration = Duration::from_secs(4);
const DROP_PAUSE: Duration = Duration::from_millis(100);
const DROPS: usize = 15;

/// What may happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection is cut before the server has the request.
    CutBefore,
    /// The server carries the request out, and the connection is cut before it answers.
    CutAfter,
    /// The server carries the request out, and the connection is cut in the middle of the answer.
    CutWithin,
    /// The connection is cut before the server has the request, and for a while nobody listens.
    Refused,
    /// The server carries the request out; nobody says anything for long, then the connection is cut.
    Stalled,
    /// Request and answer pass drop by drop.
    Slow,
    /// 429, and the server does not have the request; of a database, that it has too many connections.
    Busy,
    /// The same, with the wish to be left alone for two seconds.
    BusyFor,
    /// 500, and the server does not have the request; of a database, that it shuts down.
    Broken,
    /// 503, and the server does not have the request.
    Unavailable,
    /// 500, and the server has carried the request out.
    BrokenAfter,
    /// 503, and the server has carried the request out.
    UnavailableAfter,
    /// The server gets two thirds of a bulk request's documents; of the others it is said that there were
    /// too many.
    Partial,
}

/// What passes through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1, and of many requests all must go well before something is done.
    Steps,
    /// HTTP/1.1, with search engines' bulk requests.
    Bulk,
    /// PostgreSQL's protocol.
    Postgres,
}

impl Speaks {
    /// What may happen to its requests.
    fn faults(self) -> Vec<Fault> {
        use Fault::{
            Broken, BrokenAfter, Busy, BusyFor, CutAfter, CutBefore, CutWithin, Partial, Refused,
            Slow, Stalled, Unavailable, UnavailableAfter,
        };
        let mut faults = vec![CutBefore, CutAfter, CutWithin, Refused, Stalled, Slow, Busy, Broken];
        if self != Speaks::Postgres {
            faults.extend([BusyFor, Unavailable, BrokenAfter, UnavailableAfter]);
        }
        if self == Speaks::Bulk {
            faults.push(Partial);
        }
        faults
    }

    /// Most requests between two faults. To log in and load takes many of a database, and all must go
    /// well; to a table of Iceberg there are files to put, and its catalog to ask; a bulk request is all
    /// there is to it.
    fn good_max(self) -> u32 {
        match self {
            Speaks::Bulk => 2,
            Speaks::Http => 3,
            Speaks::Steps => 7,
            Speaks::Postgres => 9,
        }
    }
}

/// A proxy, on a port of this machine, until it is dropped.
pub struct BadDay {
    port: u16,
    way: Arc<Way>,
    _runtime: Runtime,
}

/// What all connections share.
struct Way {
    speaks: Speaks,
    server_port: u16,
    deck: Mutex<Deck>,
}

struct Deck {
    random: StdRng,
    left: Vec<Fault>,
    /// Requests that pass before the next fault.
    good: u32,
    dealt: BTreeMap<Fault, u32>,
    /// Whether the listener is to be closed for a while.
    refuses: bool,
}

impl BadDay {
    /// In front of a server of this machine.
    ///
    /// # Errors
    /// There is no port.
    pub fn before(server_port: u16, speaks: Speaks, seed: u64) -> anyhow::Result<BadDay> {
        let port = free_ports(1)?[0];
        let deck = Deck {
            random: StdRng::seed_from_u64(seed),
            left: Vec::new(),
            good: 0,
            dealt: BTreeMap::new(),
            refuses: false,
        };
        let way = Arc::new(Way { speaks, server_port, deck: Mutex::new(deck) });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(listen(port)).context("listen")?;
        runtime.spawn(accept(listener, port, Arc::clone(&way)));
        Ok(BadDay { port, way, _runtime: runtime })
    }

    /// Where it listens, which is where the server is for Leat.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often each fault has happened. Those that have not are in it.
    #[must_use]
    pub fn dealt(&self) -> BTreeMap<Fault, u32> {
        let mut all: BTreeMap<Fault, u32> =
            self.way.speaks.faults().into_iter().map(|fault| (fault, 0)).collect();
        all.extend(&self.way.deck().dealt);
        all
    }
}

impl Way {
    fn deck(&self) -> MutexGuard<'_, Deck> {
        self.deck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next request suffers, if anything. `may` tells what it can suffer.
    fn next(&self, may: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut deck = self.deck();
        let Deck { random, left, good, .. } = &mut *deck;
        if 0 < *good {
            *good -= 1;
            return None;
        }
        if left.is_empty() {
            *left = self.speaks.faults();
            left.shuffle(random);
        }
        let at = left.iter().position(|fault| may(*fault))?;
        let fault = left.remove(at);
        *good = random.random_range(0..=self.speaks.good_max());
        deck.refuses = deck.refuses || fault == Fault::Refused;
        *deck.dealt.entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn server(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.server_port)).await
    }
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

async fn accept(mut listener: TcpListener, port: u16, way: Arc<Way>) {
    loop {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((socket, _)) = accepted else { continue };
                    let way = Arc::clone(&way);
                    match way.speaks {
                        Speaks::Postgres => drop(tokio::spawn(database::serve(socket, way))),
                        _ => drop(tokio::spawn(http::serve(socket, way))),
                    }
                }
                _ = look.tick() => {
                    if std::mem::take(&mut way.deck().refuses) {
                        break;
                    }
                }
            }
        }
        drop(listener);
        tokio::time::sleep(REFUSING).await;
        listener = loop {
            // Somebody may have been given the port for a connection.
            match listen(port).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(DROP_PAUSE).await,
            }
        };
    }
}

/// Says it drop by drop. Whoever listens may be gone.
async fn say_slowly(socket: &mut TcpStream, bytes: Bytes) {
    for drop in bytes.chunks(bytes.len().div_ceil(DROPS).max(1)) {
        if socket.write_all(drop).await.is_err() {
            return;
        }
        tokio::time::sleep(DROP_PAUSE).await;
    }
}
