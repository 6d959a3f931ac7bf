//! A Redis Cluster.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};

use super::options::{RedisOptions, Transport};
use super::server::RedisServer;
use crate::url;
use crate::wait;

const SHARDS: usize = 3;
const SLOTS: u16 = 16_384;
/// A master that has been silent for so long is replaced by its replica. Redis's own default is 15 seconds.
const NODE_TIMEOUT_MS: u32 = 1_500;

/// What a node is, in the view of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It has slots.
    Master,
    /// It follows the master of this id.
    Replica {
        /// The id of its master.
        of: String,
    },
}

/// A node of a [`RedisCluster`], as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterNode {
    /// Its place in the cluster, from 0 to 5: what [`RedisCluster::node`] takes.
    pub index: usize,
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is now.
    pub role: Role,
    /// The slots that it has, ascending.
    pub slots: Vec<RangeInclusive<u16>>,
    /// Whether the others take it for failed, or begin to.
    pub is_failed: bool,
}

impl ClusterNode {
    fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// A private Redis Cluster: three masters and a replica for each.
///
/// A master that is silent for 1.5 seconds is replaced by its replica. Shard `n` of 0 to 2 has the slots
/// from `n * 16384 / 3` on.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    options: RedisOptions,
}

impl RedisCluster {
    /// Starts a Cluster of volatile nodes and waits until all slots are served and all replicas follow.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`]; and the nodes do not agree.
    pub fn start() -> Result<RedisCluster> {
        RedisCluster::start_with(RedisOptions::default())
    }

    /// As [`start`](Self::start), with options that are every node's.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); and the options ask for a unix socket alone.
    pub fn start_with(options: RedisOptions) -> Result<RedisCluster> {
        if options.transport == Transport::Unix {
            bail!("the nodes of a cluster need ports: leave the transport at Tcp");
        }
        let node_options = node_options(&options);
        let nodes = (0..2 * SHARDS)
            .map(|_| RedisServer::start_node(&node_options))
            .collect::<Result<_>>()?;
        let cluster = RedisCluster { nodes, options };
        cluster.form()?;
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// The first three nodes become masters, and each of the others the replica of one.
    fn form(&self) -> Result<()> {
        let first = self.node(0);
        for (index, node) in self.nodes.iter().enumerate() {
            // Different from the start, so that the nodes need not settle it among themselves.
            let epoch = (index + 1).to_string();
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            if index < SHARDS {
                let slots = shard_slots(index);
                let (start, end) = (slots.start().to_string(), slots.end().to_string());
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &start, &end])?;
            }
            if index > 0 {
                let port = address(node)?.port().to_string();
                let bus = node
                    .bus_port()
                    .context("a node of a cluster has a bus")?
                    .to_string();
                first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
            }
        }
        wait::until("the nodes of the cluster to know each other", || {
            for node in &self.nodes {
                let text = node.command(&["CLUSTER", "NODES"])?.text();
                if text.lines().count() < self.nodes.len() || text.contains("handshake") {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
        for (index, replica) in self.nodes.iter().enumerate().skip(SHARDS) {
            let master = self.node(index - SHARDS).command(&["CLUSTER", "MYID"])?.text();
            replica.command(&["CLUSTER", "REPLICATE", &master])?;
        }
        Ok(())
    }

    /// Waits until every node that is awake says that all slots are served, they agree on who serves them, and every
    /// awake replica follows its master. After a master was killed that is: its replica has taken over.
    ///
    /// # Errors
    ///
    /// That does not happen within 90 seconds. Most of the masters have to be awake for a failover.
    pub fn wait_ready(&self) -> Result<()> {
        wait::until(
            "the cluster to serve all slots and its replicas to follow",
            || {
                // A node that is busy or has just died is asked again.
                Ok(self.is_ready().unwrap_or(false).then_some(()))
            },
        )
    }

    fn is_ready(&self) -> Result<bool> {
        let mut views = BTreeSet::new();
        for (index, node) in self.awake() {
            let state = node.command(&["CLUSTER", "INFO"])?.text();
            if !state.contains("cluster_state:ok") || !state.contains("cluster_slots_ok:16384") {
                return Ok(false);
            }
            let view = self.seen_by(index)?;
            let awake = |node: &&ClusterNode| self.node(node.index).is_awake();
            if view.iter().filter(awake).any(|node| node.is_failed) {
                return Ok(false);
            }
            let is_served = view
                .iter()
                .filter(|node| !node.slots.is_empty())
                .all(|node| self.node(node.index).is_awake());
            if !is_served {
                return Ok(false);
            }
            let is_replica = view[index].role != Role::Master;
            if is_replica && !replication(node)?.contains("master_link_status:up") {
                return Ok(false);
            }
            views.insert(
                view.iter()
                    .filter(awake)
                    .map(|node| format!("{} {:?} {:?}", node.id, node.role, node.slots))
                    .collect::<Vec<_>>(),
            );
        }
        Ok(views.len() == 1)
    }

    /// All six nodes in the order of their index, as one that is awake sees them.
    ///
    /// # Errors
    ///
    /// None is awake, or it does not answer.
    pub fn nodes(&self) -> Result<Vec<ClusterNode>> {
        let (index, _) = self.awake().next().context("no node of the cluster is awake")?;
        self.seen_by(index)
    }

    fn seen_by(&self, index: usize) -> Result<Vec<ClusterNode>> {
        let text = self.node(index).command(&["CLUSTER", "NODES"])?.text();
        let mut nodes = text
            .lines()
            .map(|line| {
                self.parse(line)
                    .with_context(|| format!("a strange node: {line}"))
            })
            .collect::<Result<Vec<_>>>()?;
        nodes.sort_by_key(|node| node.index);
        if nodes.len() != self.nodes.len() {
            bail!("node {index} knows {} of {} nodes", nodes.len(), self.nodes.len());
        }
        Ok(nodes)
    }

    /// Reads a line of `CLUSTER NODES`: id, address@bus, flags, master, ping, pong, epoch, link, slots.
    fn parse(&self, line: &str) -> Option<ClusterNode> {
        let fields: Vec<&str> = line.split(' ').collect();
        let port: u16 = fields
            .get(1)?
            .split('@')
            .next()?
            .rsplit(':')
            .next()?
            .parse()
            .ok()?;
        let (index, address) = self.nodes.iter().enumerate().find_map(|(index, node)| {
            let address = node.address()?;
            (address.port() == port).then_some((index, address))
        })?;
        let flags: Vec<&str> = fields.get(2)?.split(',').collect();
        let role = if flags.contains(&"master") {
            Role::Master
        } else {
            Role::Replica {
                of: (*fields.get(3)?).to_owned(),
            }
        };
        Some(ClusterNode {
            index,
            id: (*fields.first()?).to_owned(),
            address,
            role,
            slots: fields.iter().skip(8).filter_map(|field| range(field)).collect(),
            is_failed: flags.iter().any(|flag| flag.starts_with("fail")),
        })
    }

    /// The index of the master that has a slot.
    ///
    /// # Errors
    ///
    /// No node is awake, or none has the slot.
    pub fn master_of(&self, slot: u16) -> Result<usize> {
        let nodes = self.nodes()?;
        let master = nodes.iter().find(|node| node.has(slot));
        master
            .map(|node| node.index)
            .with_context(|| format!("no node has the slot {slot}"))
    }

    /// Kills the master of a shard (0, 1 or 2) with SIGKILL, and gives its index: `node(index).restart()` brings it
    /// back as a replica. Does not wait for the failover: [`wait_ready`](Self::wait_ready) does.
    ///
    /// # Errors
    ///
    /// There is no such shard, or its master is dead already and not yet replaced.
    pub fn kill_master(&self, shard: usize) -> Result<usize> {
        if shard >= SHARDS {
            bail!("there are the shards 0 to {}, and no shard {shard}", SHARDS - 1);
        }
        let index = self.master_of(*shard_slots(shard).start())?;
        if !self.node(index).is_awake() {
            bail!("the master of shard {shard} is down and not replaced yet: call wait_ready()");
        }
        self.node(index).kill()?;
        Ok(index)
    }

    /// A node by its index, to kill, restart, pause or command it.
    ///
    /// # Panics
    ///
    /// There is no such node: the index is 6 or more.
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// Where all six nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter_map(RedisServer::address).collect()
    }

    /// `redis+cluster://HOST:PORT,HOST:PORT,..` with all six nodes, `rediss+cluster://` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() {
            "rediss+cluster"
        } else {
            "redis+cluster"
        };
        let hosts: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        let login = url::login(self.options.credentials());
        format!("{scheme}://{login}{}", hosts.join(","))
    }

    fn awake(&self) -> impl Iterator<Item = (usize, &RedisServer)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_awake())
    }
}

fn node_options(options: &RedisOptions) -> RedisOptions {
    let mut node = RedisOptions {
        settings: vec![
            ("cluster-node-timeout".to_owned(), NODE_TIMEOUT_MS.to_string()),
            // A replica takes over however long it has not heard of its master.
            ("cluster-replica-validity-factor".to_owned(), "0".to_owned()),
            ("cluster-announce-ip".to_owned(), "127.0.0.1".to_owned()),
            ("repl-diskless-sync-delay".to_owned(), "0".to_owned()),
        ],
        ..options.clone()
    };
    if options.tls.is_some() {
        node.settings.push(("tls-cluster".to_owned(), "yes".to_owned()));
    }
    node.settings.extend(options.settings.iter().cloned());
    node
}

fn shard_slots(shard: usize) -> RangeInclusive<u16> {
    let first = |shard: usize| u16::try_from(shard * usize::from(SLOTS) / SHARDS).unwrap_or(SLOTS);
    first(shard)..=first(shard + 1) - 1
}

fn address(node: &RedisServer) -> Result<SocketAddr> {
    node.address().context("a node of a cluster has a port")
}

fn replication(node: &RedisServer) -> Result<String> {
    Ok(node.command(&["INFO", "replication"])?.text())
}

/// `first-last` or one slot. What is moving between nodes stands in brackets and is left out.
fn range(field: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = field.split_once('-').unwrap_or((field, field));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
