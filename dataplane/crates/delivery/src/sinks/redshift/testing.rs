//! A server that speaks the wire of PostgreSQL and knows no SQL: it does what its test tells it to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::connection::Socket;

const TLS_REQUEST: u32 = 80_877_103;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What the server does with a statement.
pub(crate) enum Act {
    Do,
    /// With this code and message.
    Refuse(&'static str, &'static str),
    /// Does it, and closes the connection with the answer.
    DoAndClose,
    Close,
    Silence,
    Say(Vec<u8>),
}

type Decide = Arc<Mutex<dyn FnMut(&str) -> Act + Send>>;

/// A server on the loopback interface, until it is dropped.
pub(crate) struct Database {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Database {
    pub(crate) async fn start(
        tls: Option<TlsAcceptor>,
        decide: impl FnMut(&str) -> Act + Send + 'static,
    ) -> Database {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let decide: Decide = Arc::new(Mutex::new(decide));
        let (mut task, all) = (JoinSet::new(), Arc::clone(&seen));
        task.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (decide, seen) = (Arc::clone(&decide), Arc::clone(&all));
                let session = Session { socket: Box::new(socket), decide, seen };
                let tls = tls.clone();
                sessions.spawn(async move { session.run(tls).await.unwrap_or_default() });
            }
        });
        Database { port, seen, _task: task }
    }

    /// Does all statements.
    pub(crate) async fn willing() -> Database {
        Database::start(None, |_| Act::Do).await
    }

    /// Does COPY as listed, and what else there is.
    pub(crate) async fn scripted(acts: Vec<Act>) -> Database {
        let mut acts = acts.into_iter();
        let decide = move |statement: &str| match statement.starts_with("COPY") {
            true => acts.next().unwrap(),
            false => Act::Do,
        };
        Database::start(None, decide).await
    }

    /// What was said to it since this was asked for last, a line each.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

struct Session {
    socket: Box<dyn Socket>,
    decide: Decide,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Session {
    /// `None` when the client closes first.
    async fn run(mut self, tls: Option<TlsAcceptor>) -> Option<()> {
        let (mut code, mut rest) = self.startup().await?;
        if code == TLS_REQUEST {
            self.say(if tls.is_some() { b"S" } else { b"N" }).await?;
            self.socket = Box::new(tls?.accept(self.socket).await.ok()?);
            (code, rest) = self.startup().await?;
        }
        if code == CANCEL_REQUEST {
            self.saw(format!("cancel {rest:?}"));
            return None;
        }
        let parameters: Vec<&str> = rest.split('\0').collect();
        let parameter = |name| {
            let pairs = parameters.chunks(2).map(|pair| (pair[0], pair.get(1)));
            pairs.clone().find(|(own, _)| *own == name).and_then(|(_, value)| value.copied())
        };
        let (user, database) = (parameter("user")?, parameter("database")?);
        self.say(&message(b'R', &3_u32.to_be_bytes())).await?;
        let (_, password) = self.message().await?;
        let password = password.trim_end_matches('\0');
        self.saw(format!("{user}:{password} at {database}"));
        if password == "wrong" {
            let error = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0";
            self.say(&message(b'E', error)).await?;
            return None;
        }
        let key = [7_u32.to_be_bytes(), 8_u32.to_be_bytes()].concat();
        let ready = message(b'Z', b"I");
        let welcome = [message(b'R', &[0; 4]), message(b'K', &key), ready.clone()].concat();
        self.say(&welcome).await?;
        loop {
            let (tag, text) = self.message().await?;
            if tag != b'Q' {
                return None; // It says good-bye.
            }
            let statement = text.trim_end_matches('\0');
            self.saw(statement.to_owned());
            let act = (self.decide.lock().unwrap())(statement);
            let done = [message(b'C', b"DONE\0"), ready.clone()].concat();
            match act {
                Act::Do => self.say(&done).await?,
                Act::DoAndClose => {
                    self.say(&done).await?;
                    return self.socket.shutdown().await.ok();
                }
                Act::Refuse(code, text) => {
                    let error = format!("SERROR\0C{code}\0M{text}\0DA detail.\0\0");
                    let error = message(b'E', error.as_bytes());
                    self.say(&[error, ready.clone()].concat()).await?;
                }
                Act::Close => return None,
                Act::Silence => {}
                Act::Say(bytes) => self.say(&bytes).await?,
            }
        }
    }

    fn saw(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }

    async fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.socket.write_all(bytes).await.ok()?;
        self.socket.flush().await.ok()
    }

    /// The first message, which has no tag: a code, and what follows it.
    async fn startup(&mut self) -> Option<(u32, String)> {
        let length = self.socket.read_u32().await.ok()? as usize;
        let code = self.socket.read_u32().await.ok()?;
        Some((code, self.text(length - 8).await?))
    }

    async fn message(&mut self) -> Option<(u8, String)> {
        let tag = self.socket.read_u8().await.ok()?;
        let length = self.socket.read_u32().await.ok()? as usize;
        Some((tag, self.text(length - 4).await?))
    }

    async fn text(&mut self, length: usize) -> Option<String> {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).await.ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A message of the server's.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}
