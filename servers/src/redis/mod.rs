//! Redis, single and as a Cluster.

mod client;
mod cluster;
mod options;
mod server;

pub use client::Answer;
pub use cluster::{ClusterNode, RedisCluster, Role};
pub use options::{AppendFsync, RedisOptions, RedisUser, Transport};
pub use server::RedisServer;
