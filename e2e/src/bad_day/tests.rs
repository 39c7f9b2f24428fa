use std::io::{Read, Write};
use std::net::{TcpListener as Listener, TcpStream as Socket};
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;

const DOCUMENTS: usize = 6;

/// A request, or an answer, whose end its head tells.
fn read_one(socket: &mut Socket) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.unwrap().parse::<usize>().unwrap() <= body.len() {
                return text;
            }
        }
        let mut some = [0; 1024];
        match socket.read(&mut some).unwrap_or(0) {
            0 => return text,
            count => bytes.extend(&some[..count]),
        }
    }
}

/// A search engine, and what it gets.
fn server() -> (u16, Receiver<String>) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = sync_channel(1_000);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let request = read_one(&mut socket);
            let items = vec![r#"{"index":{"status":201}}"#; request.matches("{}").count()];
            let body = format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(","));
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes());
            let _ = sender.send(request);
        }
    });
    (port, receiver)
}

/// The answer, or its beginning; `None` when nobody listens.
fn ask(port: u16) -> Option<String> {
    let mut socket = Socket::connect(("127.0.0.1", port)).ok()?;
    let body = "{\"index\":1}\n{}\n".repeat(DOCUMENTS);
    let length = body.len();
    let request =
        format!("POST /_bulk HTTP/1.1\r\nhost: Me:1\r\ncontent-length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).unwrap();
    Some(read_one(&mut socket))
}

#[test]
fn each_fault_is_what_it_is_said_to_be() {
    let (server_port, got) = server();
    let day = BadDay::before(server_port, Speaks::Bulk, 1).unwrap();
    while day.dealt().values().any(|times| *times == 0) {
        let before = day.dealt();
        let Some(answer) = ask(day.port()) else { continue };
        let fault = day.dealt().into_iter().find(|(fault, times)| before[fault] < *times);
        let got = got.recv_timeout(Duration::from_millis(100)).ok();
        let documents = got.as_ref().map(|request| request.matches("{}").count());
        let said = (answer.get(9..12), answer.contains("retry-after: 2"));
        let good = r#"{"index":{"status":201}}"#;
        let (all, none) = (Some(DOCUMENTS), None);
        let fault = fault.map(|(fault, _)| fault);
        match fault {
            None | Some(Fault::Slow) => {
                assert_eq!((said, documents), ((Some("200"), false), all), "{fault:?}");
                assert!(answer.ends_with(&format!("[{}]}}", [good; DOCUMENTS].join(","))));
                assert!(got.unwrap().contains("host: Me:1\r\n"));
            }
            Some(Fault::CutBefore | Fault::Refused) => {
                assert_eq!((&answer[..], documents), ("", none), "{fault:?}");
                if fault == Some(Fault::Refused) {
                    std::thread::sleep(REFUSING / 4);
                    assert_eq!(ask(day.port()), None);
                }
            }
            Some(Fault::CutAfter | Fault::Stalled) => {
                assert_eq!((&answer[..], documents), ("", all), "{fault:?}");
            }
            Some(Fault::CutWithin) => {
                assert_eq!((said, documents), ((Some("200"), false), all));
                assert!(!answer.ends_with("]}"), "{answer}");
            }
            Some(Fault::Busy) => assert_eq!((said, documents), ((Some("429"), false), none)),
            Some(Fault::BusyFor) => assert_eq!((said, documents), ((Some("429"), true), none)),
            Some(Fault::Broken) => assert_eq!((said, documents), ((Some("500"), false), none)),
            Some(Fault::Unavailable) => assert_eq!((said, documents), ((Some("503"), false), none)),
            Some(Fault::BrokenAfter) => assert_eq!((said, documents), ((Some("500"), false), all)),
            Some(Fault::UnavailableAfter) => {
                assert_eq!((said, documents), ((Some("503"), false), all));
            }
            Some(Fault::Partial) => {
                assert_eq!((said, documents), ((Some("200"), false), Some(4)));
                let items = answer.split_once("\"items\":").unwrap().1;
                let statuses: Vec<&str> =
                    items.split("\"status\":").skip(1).map(|it| &it[..3]).collect();
                assert_eq!(statuses, ["201", "201", "429", "201", "201", "429"]);
            }
        }
    }
}
