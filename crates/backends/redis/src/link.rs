//! A connection to one server that is made anew when it breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, Pipeline, PushInfo, PushKind, RedisError, Value,
};
use stead_core::Error;
use stead_network::Failure;
use tokio::runtime::Handle;

use crate::error;
use crate::gather::Gathering;

/// Why a call gave no value.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There was no connection.
    Connecting(Failure),
    /// The server's own words, or a connection that broke.
    Answer(RedisError),
}

/// What becomes of messages that the server sends by itself.
pub(crate) type Listener = Arc<dyn Fn(&PushInfo) + Send + Sync>;

/// One server. All calls share one connection; a second one, made when somebody listens, carries what the server sends by
/// itself: when a slot moves, the server ends a subscription unasked, and on a shared connection the client library
/// would take that for the answer to the oldest call.
pub(crate) struct Link {
    name: String,
    client: Client,
    timeout: Duration,
    runtime: Handle,
    listener: Option<Listener>,
    live: RwLock<Option<Live>>,
    connecting: tokio::sync::Mutex<()>,
    generation: AtomicU64,
    pub(crate) gathering: Gathering,
}

#[derive(Clone)]
struct Live {
    generation: u64,
    connection: MultiplexedConnection,
}

impl Link {
    /// A link that connects when it is first used. Its connections belong to `runtime`, whoever calls.
    pub(crate) fn new(
        name: String,
        client: Client,
        timeout: Duration,
        runtime: Handle,
        listener: Option<Listener>,
    ) -> Arc<Self> {
        Arc::new(Link {
            name,
            client,
            timeout,
            runtime,
            listener,
            live: RwLock::new(None),
            connecting: tokio::sync::Mutex::new(()),
            generation: AtomicU64::new(0),
            gathering: Gathering::default(),
        })
    }

    /// The server, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the present connection; none is 0.
    pub(crate) fn generation(&self) -> u64 {
        self.live.read().as_ref().map_or(0, |live| live.generation)
    }

    /// Sends `command` and waits for its answer.
    pub(crate) async fn call(self: &Arc<Self>, command: &Cmd) -> Result<Value, Trouble> {
        let mut live = self.live().await.map_err(Trouble::Connecting)?;
        let answer = live.connection.send_packed_command(command).await;
        self.settled(live.generation, answer.and_then(Value::extract_error))
    }

    /// Sends all of `commands` at once and waits for their answers. A command that the server refuses has that as its
    /// answer, and no other is worse off.
    pub(crate) async fn call_all(self: &Arc<Self>, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let mut live = self.live().await.map_err(Trouble::Connecting)?;
        let answers = live
            .connection
            .send_packed_commands(commands, 0, commands.len())
            .await;
        self.settled(live.generation, answers)
    }

    /// Sends `command` to a node that a slot is just moving to.
    pub(crate) async fn call_asking(self: &Arc<Self>, command: Cmd) -> Result<Value, Trouble> {
        let mut live = self.live().await.map_err(Trouble::Connecting)?;
        let mut both = Pipeline::new();
        both.cmd("ASKING").add_command(command);
        let answers = live.connection.send_packed_commands(&both, 1, 1).await;
        let answer = answers.and_then(|mut answers| answers.pop().unwrap_or_default().extract_error());
        self.settled(live.generation, answer)
    }

    fn settled<T>(&self, generation: u64, answer: Result<T, RedisError>) -> Result<T, Trouble> {
        if let Err(error) = &answer
            && (error.is_unrecoverable_error() || error.is_io_error())
        {
            // One that timed out may be a connection into nowhere, which the system would not tell for a long time.
            self.forget(generation);
        }
        answer.map_err(Trouble::Answer)
    }

    fn forget(&self, generation: u64) {
        self.live.write().take_if(|live| live.generation == generation);
    }

    async fn live(self: &Arc<Self>) -> Result<Live, Failure> {
        if let Some(live) = self.live.read().clone() {
            return Ok(live);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(live) = self.live.read().clone() {
            return Ok(live);
        }
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(Ears {
                link: Arc::downgrade(self),
                generation,
            });
        let client = self.client.clone();
        let connecting = self
            .runtime
            .spawn(async move { client.get_multiplexed_async_connection_with_config(&config).await });
        let connection = match connecting.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                let tls = matches!(
                    self.client.get_connection_info().addr(),
                    ConnectionAddr::TcpTls { .. }
                );
                return Err(error::of_connecting(error, &self.name, tls));
            }
            Err(_) => {
                return Err(Failure::Final(Error::closed().with("server", &self.name)));
            }
        };
        let live = Live {
            generation,
            connection,
        };
        *self.live.write() = Some(live.clone());
        Ok(live)
    }
}

/// Hears what the server sends by itself, and the end of the connection.
struct Ears {
    link: Weak<Link>,
    generation: u64,
}

impl redis::aio::AsyncPushSender for Ears {
    fn send(&self, info: PushInfo) -> Result<(), redis::aio::SendError> {
        let Some(link) = self.link.upgrade() else {
            return Err(redis::aio::SendError);
        };
        if info.kind == PushKind::Disconnection {
            // Known before the next call: that one connects anew, and knows that nothing was sent.
            link.forget(self.generation);
        }
        if let Some(listener) = &link.listener {
            listener(&info);
        }
        Ok(())
    }
}
