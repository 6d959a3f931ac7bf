//! What the server is, and what its settings make of a commit.

use stead_core::{Capabilities, Durability, Error, Result, Strength};
use stead_network::{Failure, NetworkOptions};

use crate::error;
use crate::server::{Session, Sql};

/// PostgreSQL 13: earlier ones are out of their makers' care.
const OLDEST: i32 = 130_000;

/// What the server was found to be.
pub(crate) struct Probe {
    /// Its settings of a commit, as they are for this user and database.
    synchronous_commit: String,
    fsync: bool,
    full_page_writes: bool,
    standbys: bool,
    /// It takes no writes.
    pub(crate) standby: bool,
}

/// Asks the server.
///
/// # Errors
///
/// `Unsupported` for a server that is too old; `Invalid` for one whose transactions are not read committed.
pub(crate) async fn probe(session: &Session) -> Result<Probe, Failure> {
    let question = Sql {
        text: "SELECT current_setting('server_version_num')::integer,
                current_setting('synchronous_commit'),
                current_setting('fsync') = 'on',
                current_setting('full_page_writes') = 'on',
                current_setting('synchronous_standby_names') <> '',
                pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
                current_setting('default_transaction_isolation')"
            .into(),
        types: Vec::new(),
    };
    let row = session.row(&question, &[]).await?;
    let flag = |column| row.try_get::<_, bool>(column).map_err(error::asking);
    let version: i32 = row.try_get(0).map_err(error::asking)?;
    if version < OLDEST {
        return Err(Failure::Final(
            Error::unsupported("the server is too old; upgrade it to PostgreSQL 13 or later")
                .with("server_version", version / 10_000)
                .with("oldest_version", OLDEST / 10_000),
        ));
    }
    let isolation: String = row.try_get(6).map_err(error::asking)?;
    if isolation != "read committed" {
        return Err(Failure::Final(error::wrong_isolation().with("value", isolation)));
    }
    Ok(Probe {
        synchronous_commit: row.try_get(1).map_err(error::asking)?,
        fsync: flag(2)?,
        full_page_writes: flag(3)?,
        standbys: flag(4)?,
        standby: flag(5)?,
    })
}

impl Probe {
    /// What a store on this server can do.
    pub(crate) fn capabilities(&self, options: &NetworkOptions) -> Capabilities {
        Capabilities {
            // It survives the end of this process, but not that of the server's: that has not written it out yet.
            buffered: Strength::Volatile,
            durable: self.durable(),
            default_durability: options.durability,
            persistent: true,
            writable: !options.read_only,
            limits: options.limits,
            ..Capabilities::volatile("postgres")
        }
    }

    fn durable(&self) -> Strength {
        if !self.fsync || !self.full_page_writes {
            // What the server's processes wrote survives them, but not their machine.
            return Strength::ProcessCrash;
        }
        let waits_for_standbys = matches!(
            self.synchronous_commit.as_str(),
            "on" | "remote_write" | "remote_apply"
        );
        if self.standbys && waits_for_standbys {
            Strength::Replicated
        } else {
            Strength::PowerLoss
        }
    }

    /// What `synchronous_commit` is set to for a batch; `None` leaves it as it is.
    pub(crate) fn synchronous_commit(&self, durability: Durability) -> Option<&'static str> {
        match durability {
            Durability::Buffered => Some("off"),
            // Asked for by the batch, whatever the server does unasked.
            Durability::Durable if self.synchronous_commit == "off" => Some(self.raised()),
            Durability::Durable => None,
        }
    }

    fn raised(&self) -> &'static str {
        // `on` would wait for standbys that nobody counted on.
        if self.standbys { "local" } else { "on" }
    }

    /// What `synchronous_commit` has to be for what was buffered to become durable.
    pub(crate) fn synchronous_commit_of_sync(&self) -> &str {
        if self.synchronous_commit == "off" {
            self.raised()
        } else {
            &self.synchronous_commit
        }
    }
}
