//! Statements by PostgreSQL's protocol. What a client says before it waits for an answer is a request.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Fault, STALLED, Way, say_slowly};

/// More than a statement has: one that is read in parts would be more than one request.
const READ_BYTES: usize = 1 << 16;

/// Serves a connection until it ends.
pub(super) async fn serve(mut socket: TcpStream, way: Arc<Way>) {
    // Either side may be gone.
    let _ = pass_all(&mut socket, &way).await;
}

async fn pass_all(client: &mut TcpStream, way: &Way) -> io::Result<()> {
    let mut server = way.server().await?;
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    let mut is_slow = false;
    loop {
        asked.reserve(READ_BYTES);
        answered.reserve(READ_BYTES);
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                // Requests, and no goodbye.
                let is_request = asked.first() != Some(&b'X');
                let fault = if is_request { way.next(|_| true) } else { None };
                let request = asked.split().freeze();
                match fault {
                    None | Some(Fault::Slow) => {
                        is_slow |= fault.is_some();
                        server.write_all(&request).await?;
                    }
                    Some(fault) => return suffer(fault, request, client, &mut server).await,
                }
            }
            read = server.read_buf(&mut answered) => {
                if read? == 0 {
                    return Ok(());
                }
                let answer = answered.split().freeze();
                match is_slow {
                    true => say_slowly(client, answer).await,
                    false => client.write_all(&answer).await?,
                }
            }
        }
    }
}

/// The connection ends.
async fn suffer(
    fault: Fault,
    request: Bytes,
    client: &mut TcpStream,
    server: &mut TcpStream,
) -> io::Result<()> {
    match fault {
        Fault::Busy => return client.write_all(&error("53300", "too many connections")).await,
        Fault::Broken => return client.write_all(&error("57P01", "shutting down")).await,
        Fault::CutAfter | Fault::CutWithin | Fault::Stalled => {}
        _ => return Ok(()),
    }
    server.write_all(&request).await?;
    let mut answer = BytesMut::with_capacity(READ_BYTES);
    // It answers when it has carried the request out.
    server.read_buf(&mut answer).await?;
    let answer = answer.freeze();
    match fault {
        Fault::CutWithin => client.write_all(&answer[..answer.len() / 2]).await?,
        Fault::Stalled => tokio::time::sleep(STALLED).await,
        _ => {}
    }
    Ok(())
}

/// A fatal error as PostgreSQL says it.
fn error(code: &str, text: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0C{code}\0M{text}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}
