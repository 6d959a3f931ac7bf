//! A private server that speaks S3 starts, answers and ends.

use std::net::TcpStream;

use stead_servers::S3Server;

#[test]
fn buckets_are_made_until_it_is_killed() {
    let server = S3Server::start().unwrap();
    server.make_bucket("one").unwrap();
    assert!(server.make_bucket("No Bucket").is_err());

    let address = server.endpoint().strip_prefix("http://").unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    server.kill().unwrap();
    assert!(TcpStream::connect(&address).is_err());
    assert!(server.make_bucket("two").is_err());
}
