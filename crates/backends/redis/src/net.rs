//! Which server holds which slot.
//!
//! The client library has a connection to Clusters of its own. It repeats a write whose connection broke, which may have
//! been done, unless it is told never to repeat anything; then it follows no redirection either. A store knows its few
//! slots, so following them itself is the smaller part.

use std::sync::Arc;

use parking_lot::RwLock;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use stead_core::{Error, Result};
use stead_network::{Failure, Host};
use tokio::runtime::Handle;

use crate::connector::Connector;
use crate::error;
use crate::link::{Link, Listener, Trouble};
use crate::scripts::Script;
use crate::shard::SLOTS;

/// How often one call follows a redirection.
const REDIRECTIONS: usize = 8;

/// The servers of a store.
pub(crate) struct Net {
    connector: Connector,
    runtime: Handle,
    listener: Option<Listener>,
    table: RwLock<Table>,
    refreshing: tokio::sync::Mutex<()>,
}

struct Table {
    nodes: Vec<Arc<Link>>,
    /// The node of each slot; empty where there is one server for all.
    slots: Vec<u16>,
    /// Counts how often the table was made anew.
    version: u64,
}

impl Table {
    fn of(&self, slot: u16) -> Arc<Link> {
        let node = self.slots.get(usize::from(slot)).copied().unwrap_or(0);
        Arc::clone(&self.nodes[usize::from(node)])
    }

    fn node(&mut self, name: &str, make: impl FnOnce() -> Arc<Link>) -> u16 {
        let known = self.nodes.iter().position(|node| node.name() == name);
        let place = known.unwrap_or_else(|| {
            self.nodes.push(make());
            self.nodes.len() - 1
        });
        u16::try_from(place).unwrap_or(0)
    }
}

impl Net {
    /// The servers that `connector` names; asks none of them yet.
    ///
    /// # Errors
    ///
    /// `Invalid` for what cannot be connected to at all.
    pub(crate) fn new(connector: Connector, runtime: Handle, listener: Option<Listener>) -> Result<Self> {
        let mut nodes = Vec::new();
        for (name, client) in connector.seeds()? {
            nodes.push(Link::new(
                name,
                client,
                connector.timeout(),
                runtime.clone(),
                listener.clone(),
            ));
        }
        Ok(Net {
            connector,
            runtime,
            listener,
            table: RwLock::new(Table {
                nodes,
                slots: Vec::new(),
                version: 0,
            }),
            refreshing: tokio::sync::Mutex::new(()),
        })
    }

    /// Takes over where `other` knows the slots to be, so that nobody has to be asked.
    pub(crate) fn follow(&self, other: &Net) {
        let (names, slots) = {
            let table = other.table.read();
            let names: Vec<String> = table.nodes.iter().map(|node| node.name().to_owned()).collect();
            (names, table.slots.clone())
        };
        if slots.is_empty() {
            return;
        }
        let mut table = self.table.write();
        let mut places = Vec::with_capacity(names.len());
        for name in &names {
            let Some((host, port)) = name.rsplit_once(':') else {
                return;
            };
            let Ok(port) = port.parse() else { return };
            let host = self.connector.host(host, port, name);
            let Ok(client) = self.connector.client(&host) else {
                return;
            };
            places.push(table.node(name, || {
                Link::new(
                    name.clone(),
                    client,
                    self.connector.timeout(),
                    self.runtime.clone(),
                    self.listener.clone(),
                )
            }));
        }
        table.slots = slots.iter().map(|node| places[usize::from(*node)]).collect();
    }

    /// The server that holds `slot`.
    pub(crate) fn link(&self, slot: u16) -> Arc<Link> {
        self.table.read().of(slot)
    }

    /// The servers that hold any slot.
    pub(crate) fn masters(&self) -> Vec<Arc<Link>> {
        let table = self.table.read();
        if table.slots.is_empty() {
            return table.nodes.iter().take(1).cloned().collect();
        }
        let mut held: Vec<u16> = table.slots.clone();
        held.sort_unstable();
        held.dedup();
        held.iter()
            .map(|node| Arc::clone(&table.nodes[usize::from(*node)]))
            .collect()
    }

    /// Calls a script on `keys`, which lie in `slot`.
    pub(crate) async fn run(
        &self,
        slot: u16,
        script: &Script,
        keys: &[String],
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Value, Failure> {
        let command = |name: &str, body: &str| {
            let mut command = redis::cmd(name);
            command.arg(body).arg(keys.len());
            for key in keys {
                command.arg(key);
            }
            for argument in arguments {
                command.arg(argument.as_ref());
            }
            command
        };
        match self.attempt(slot, &command("EVALSHA", &script.hash)).await {
            Err((Trouble::Answer(error), _))
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                // Another server than before, or one that was started anew.
                let answer = self.attempt(slot, &command("EVAL", &script.source)).await;
                self.judged(answer).await
            }
            answer => self.judged(answer).await,
        }
    }

    /// Calls a command on a key in `slot`.
    pub(crate) async fn call(&self, slot: u16, command: &Cmd) -> Result<Value, Failure> {
        let answer = self.attempt(slot, command).await;
        self.judged(answer).await
    }

    async fn attempt(&self, slot: u16, command: &Cmd) -> Result<Value, (Trouble, Arc<Link>)> {
        let mut link = self.link(slot);
        let mut answer = link.call(command).await;
        for _ in 0..REDIRECTIONS {
            let Err(Trouble::Answer(error)) = &answer else {
                break;
            };
            let Some((asking, target)) = self.redirection(error, &link) else {
                break;
            };
            if asking {
                answer = target.call_asking(command.clone()).await;
            } else {
                self.moved(slot, &target);
                answer = target.call(command).await;
            }
            link = target;
        }
        answer.map_err(|trouble| (trouble, link))
    }

    fn moved(&self, slot: u16, target: &Arc<Link>) {
        let mut table = self.table.write();
        let node = table.node(target.name(), || Arc::clone(target));
        if let Some(place) = table.slots.get_mut(usize::from(slot)) {
            *place = node;
        }
    }

    /// Where a call is sent on to, and whether for this once.
    fn redirection(&self, error: &RedisError, from: &Arc<Link>) -> Option<(bool, Arc<Link>)> {
        if !self.connector.is_cluster() {
            return None;
        }
        let asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
        let (address, _) = error.redirect_node()?;
        let (name, port) = address.rsplit_once(':')?;
        let host = self.connector.host(name, port.parse().ok()?, from.name());
        Some((asking, self.node(&host)?))
    }

    fn node(&self, host: &Host) -> Option<Arc<Link>> {
        let name = host.to_string();
        let known = self
            .table
            .read()
            .nodes
            .iter()
            .find(|node| node.name() == name)
            .cloned();
        if known.is_some() {
            return known;
        }
        let client = self.connector.client(host).ok()?;
        let listener = self.listener.clone();
        let link = Link::new(
            name,
            client,
            self.connector.timeout(),
            self.runtime.clone(),
            listener,
        );
        Some(link)
    }

    async fn judged(&self, answer: Result<Value, (Trouble, Arc<Link>)>) -> Result<Value, Failure> {
        let (trouble, link) = match answer {
            Ok(value) => return Ok(value),
            Err(trouble) => trouble,
        };
        let failure = match trouble {
            Trouble::Connecting(failure) => failure,
            Trouble::Answer(error) => error::of_answer(error, link.name()),
        };
        if self.connector.is_cluster() && !matches!(failure, Failure::Final(_)) {
            // Another node may have taken over: known before the next attempt. If nobody can say, that one fails as well.
            drop(self.refresh(Some(&link)).await);
        }
        Err(failure)
    }

    /// Asks the nodes which of them holds which slot, the one in `doubt` last.
    pub(crate) async fn refresh(&self, doubt: Option<&Arc<Link>>) -> Result<(), Failure> {
        if !self.connector.is_cluster() {
            return Ok(());
        }
        let before = self.table.read().version;
        let _one_at_a_time = self.refreshing.lock().await;
        let mut nodes = {
            let table = self.table.read();
            if table.version != before {
                return Ok(());
            }
            table.nodes.clone()
        };
        nodes.sort_by_key(|node| doubt.is_some_and(|doubt| Arc::ptr_eq(doubt, node)));
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut last = None;
        for node in nodes {
            last = match node.call(&command).await {
                Ok(value) => match self.install(&value, &node) {
                    true => return Ok(()),
                    false => last,
                },
                Err(Trouble::Connecting(failure)) => Some(failure),
                Err(Trouble::Answer(error)) => Some(no_cluster(error, node.name())),
            };
        }
        Err(last.unwrap_or_else(|| {
            Failure::NotDone(Error::unavailable(
                "no node of the Cluster knows where its slots are",
            ))
        }))
    }

    /// Takes over what a node answered to CLUSTER SLOTS, if it knows a master of every slot.
    fn install(&self, value: &Value, from: &Arc<Link>) -> bool {
        let Value::Array(ranges) = value else { return false };
        let mut table = self.table.write();
        let mut slots = vec![u16::MAX; usize::from(SLOTS)];
        for range in ranges {
            let Some((first, last, name, port)) = slot_range(range) else {
                continue;
            };
            let host = self.connector.host(&name, port, from.name());
            let Ok(client) = self.connector.client(&host) else {
                continue;
            };
            let node = table.node(&host.to_string(), || {
                Link::new(
                    host.to_string(),
                    client,
                    self.connector.timeout(),
                    self.runtime.clone(),
                    self.listener.clone(),
                )
            });
            if let Some(part) = slots.get_mut(first..=last) {
                part.fill(node);
            }
        }
        if slots.contains(&u16::MAX) {
            return false;
        }
        table.slots = slots;
        table.version += 1;
        true
    }
}

fn no_cluster(error: RedisError, host: &str) -> Failure {
    match error.detail() {
        Some(detail) if detail.contains("cluster support disabled") => Failure::Final(
            Error::invalid("the server is no node of a Cluster; write redis:// for a single server")
                .with("server", host),
        ),
        _ => error::of_answer(error, host),
    }
}

/// First and last slot, host and port of the master.
fn slot_range(range: &Value) -> Option<(usize, usize, String, u16)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &parts[..] else {
        return None;
    };
    let (name, port) = match &master[..] {
        [Value::BulkString(name), Value::Int(port), ..] => (String::from_utf8_lossy(name).into_owned(), port),
        [_, Value::Int(port), ..] => (String::new(), port),
        _ => return None,
    };
    Some((
        usize::try_from(*first).ok()?,
        usize::try_from(*last).ok()?,
        name,
        u16::try_from(*port).ok()?,
    ))
}
