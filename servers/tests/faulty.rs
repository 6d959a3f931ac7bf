//! The proxy breaks connections as it is told to.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use stead_servers::{Faulty, Way};

/// A server that sends back what it gets, and counts it.
fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = received.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.unwrap(), counter.clone());
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    counter.fetch_add(length, Ordering::SeqCst);
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, received)
}

fn ask(client: &mut TcpStream, question: &[u8]) -> std::io::Result<()> {
    client.write_all(question)?;
    let mut answer = vec![0; question.len()];
    client.read_exact(&mut answer)?;
    assert_eq!(answer, question);
    Ok(())
}

fn client(proxy: &Faulty) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    ask(&mut client, b"hello").unwrap();
    client
}

#[test]
fn a_cut_resets_every_connection_and_new_ones_pass() {
    let proxy = Faulty::before(echo().0).unwrap();
    let (mut one, mut other) = (client(&proxy), client(&proxy));
    assert_eq!(proxy.connections(), 2);
    proxy.cut().unwrap();
    assert_eq!(proxy.connections(), 0);
    for client in [&mut one, &mut other] {
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    client(&proxy);
}

#[test]
fn a_close_is_an_orderly_end() {
    let proxy = Faulty::before(echo().0).unwrap();
    let mut one = client(&proxy);
    proxy.close().unwrap();
    assert_eq!(one.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_answer_can_be_lost_after_the_request_has_arrived() {
    let (server, received) = echo();
    let proxy = Faulty::before(server).unwrap();
    let mut one = client(&proxy);
    proxy.cut_after(Way::ToClient, 0);
    let error = ask(&mut one, b"commit").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(received.load(Ordering::SeqCst), "hellocommit".len());
    client(&proxy);
}

#[test]
fn a_request_can_be_cut_in_its_middle() {
    let (server, received) = echo();
    let proxy = Faulty::before(server).unwrap();
    let mut one = client(&proxy);
    proxy.cut_after(Way::ToServer, 3);
    assert!(ask(&mut one, b"commit").is_err());
    assert!(received.load(Ordering::SeqCst) <= "hellocom".len());
}

#[test]
fn a_black_hole_holds_everything_until_it_heals() {
    let (server, received) = echo();
    let proxy = Faulty::before(server).unwrap();
    let mut one = client(&proxy);
    proxy.black_hole();
    one.write_all(b"later").unwrap();
    one.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = one.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(received.load(Ordering::SeqCst), "hello".len());

    proxy.heal().unwrap();
    one.set_read_timeout(None).unwrap();
    let mut answer = [0; 5];
    one.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"later");

    // Whoever waits in it can be cut.
    proxy.black_hole();
    one.write_all(b"never").unwrap();
    proxy.cut().unwrap();
    assert!(one.read(&mut [0]).is_err());
}

#[test]
fn refused_connections_are_refused_and_open_ones_stay() {
    let proxy = Faulty::before(echo().0).unwrap();
    let mut open = client(&proxy);
    proxy.refuse();
    let error = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    ask(&mut open, b"still").unwrap();
    proxy.accept().unwrap();
    client(&proxy);
}

#[test]
fn a_connection_to_a_server_that_is_down_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Faulty::before(address).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn much_data_passes_whole_with_a_delay() {
    let (server, _) = echo();
    let proxy = Faulty::before(server).unwrap();
    proxy.delay(Duration::from_millis(1));
    let mut writer = client(&proxy);
    let mut reader = writer.try_clone().unwrap();
    let data: Vec<u8> = (0..1_000_000_u32)
        .map(|index| index.to_le_bytes()[index as usize % 3])
        .collect();
    let sent = data.clone();
    let sender = thread::spawn(move || writer.write_all(&sent).unwrap());
    let mut got = vec![0; data.len()];
    reader.read_exact(&mut got).unwrap();
    sender.join().unwrap();
    assert!(got == data);
    assert_eq!(
        proxy.url(&format!("redis://{server}/")),
        format!("redis://{}/", proxy.address())
    );
}
