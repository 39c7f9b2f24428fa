//! A program for pods of tests, which looks at the world from inside one. Started without a command
//! it serves: every connection to port 8080 is told the pod's name.

use std::io::Write;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, bail};

const PORT: u16 = 8080;
const CONNECT_MAX: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut stdout = std::io::stdout();
    match words[..] {
        [] => serve(),
        ["resolve", name] => {
            for address in (name, PORT).to_socket_addrs().with_context(|| name.to_owned())? {
                writeln!(stdout, "{}", address.ip())?;
            }
            Ok(())
        }
        ["ask", name] => {
            let addresses = (name, PORT).to_socket_addrs().with_context(|| name.to_owned())?;
            let address = addresses.into_iter().next().context("no address")?;
            let mut socket = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
            socket.set_read_timeout(Some(CONNECT_MAX))?;
            std::io::copy(&mut socket, &mut stdout)?;
            Ok(())
        }
        ["write", path, text] => fs::write(path, text).with_context(|| path.to_owned()),
        ["read", path] => {
            let text = fs::read(path).with_context(|| path.to_owned())?;
            Ok(stdout.write_all(&text)?)
        }
        _ => bail!("probe [resolve NAME | ask NAME | write PATH TEXT | read PATH]"),
    }
}

fn serve() -> anyhow::Result<()> {
    let name = env::var("HOSTNAME").unwrap_or_default();
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    eprintln!("{name} serves on port {PORT}");
    loop {
        let (mut socket, _) = listener.accept()?;
        // A client that has hung up already is none of our business.
        let _ = socket.write_all(name.as_bytes());
    }
}
