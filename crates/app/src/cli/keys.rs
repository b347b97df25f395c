//! `plimsoll keys`: who may come in.

use crate::doors::{Entry, Keyring, Role, Scope};
use crate::host;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use plimsoll_feeds::evm::Address;
use plimsoll_types::{AccountId, Timestamp};
use std::path::PathBuf;

/// Arguments of `keys`.
#[derive(Args, Debug)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    what: What,
    /// The keyring: `doors.keys` of the configuration
    #[arg(long, global = true, default_value = "keys.json", value_name = "FILE")]
    keys: PathBuf,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make a key and print its name and its secret, which is kept nowhere
    Create(CreateArgs),
    /// Every key, and whether it opens anything
    List,
    /// Take a key back; a server that runs hears of it within a second
    Revoke {
        /// Its name
        id: String,
    },
}

/// Arguments of `keys create`.
#[derive(Args, Debug)]
struct CreateArgs {
    /// What it may be used for
    #[arg(long, value_enum)]
    role: Role,
    /// An account it may see; readers see none without, the others all
    #[arg(long, value_name = "ACCOUNT")]
    account: Vec<AccountId>,
    /// A reader of all accounts
    #[arg(long)]
    everybody: bool,
    /// What a feeder may state: price/BTC/SOURCE, chain/BTC, depth/BTC/VENUE, pool ...
    #[arg(long, value_name = "FEED")]
    feed: Vec<String>,
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT")]
    label: String,
    /// A session key: the address whose signatures count (EIP-712), and no secret is made
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
    /// Days until it ends
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
}

/// Answers.
pub(super) fn run(args: &KeysArgs, output: &Output) -> anyhow::Result<Verdict> {
    let mut ring = Keyring::read_or_new(&args.keys)?;
    let now = host::now();
    let table = match &args.what {
        What::Create(wanted) => {
            let entry = entry(wanted, now)?;
            let (id, secret) = match wanted.address {
                Some(address) => (ring.register(address, entry)?, None),
                None => ring.create(entry).map(|(id, secret)| (id, Some(secret)))?,
            };
            ring.write(&args.keys)?;
            created(&id, secret.as_deref())
        }
        What::List => listed(&ring, now),
        What::Revoke { id } => {
            ring.revoke(id, now)?;
            ring.write(&args.keys)?;
            listed(&Keyring { keys: ring.keys.into_iter().filter(|(key, _)| key == id).collect() }, now)
        }
    };
    output.write(Answer::table(table))
}

fn entry(wanted: &CreateArgs, now: Timestamp) -> anyhow::Result<Entry> {
    let (accounts, feeds) = (wanted.account.clone(), wanted.feed.clone());
    match wanted.role {
        Role::Feeder if feeds.is_empty() => {
            bail!("a feeder needs `--feed`: without one it may state nothing")
        }
        Role::Feeder if !accounts.is_empty() => bail!("a feeder sees no account"),
        Role::Reader if accounts.is_empty() && !wanted.everybody => {
            bail!("a reader needs `--account`, or `--everybody`: without either it sees no account")
        }
        Role::Feeder | Role::Reader => {}
        role if wanted.everybody => bail!("a {role} sees everybody anyway"),
        _ => {}
    }
    if wanted.role != Role::Feeder && !feeds.is_empty() {
        bail!("only a feeder has feeds");
    }
    let days = wanted.days.map(|days| now.plus_seconds(i64::from(days) * 86_400));
    Ok(Entry {
        label: wanted.label.clone(),
        role: wanted.role,
        scope: Scope { accounts, everybody: wanted.everybody, feeds },
        stored: String::new(),
        address: None,
        created: now,
        expires: days,
        revoked: None,
    })
}

fn created(id: &str, secret: Option<&str>) -> Table {
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    table.push(vec![Cell::text("key"), Cell::text(id)]);
    if let Some(secret) = secret {
        table.push(vec![Cell::text("secret"), Cell::text(secret)]);
    }
    table
}

fn listed(ring: &Keyring, now: Timestamp) -> Table {
    let columns = ["key", "role", "sees", "feeds", "created", "ends", "standing", "label"];
    let mut table = Table::new("", &columns.map(|name| (name, Kind::Text)));
    for (id, entry) in &ring.keys {
        let sees = match entry.scope.sees_everybody(entry.role) {
            true => "everybody".to_owned(),
            false => entry.scope.accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(" "),
        };
        let standing = match entry.revoked {
            Some(when) => format!("revoked {when}"),
            None if entry.is_good(now) => "good".to_owned(),
            None => "expired".to_owned(),
        };
        table.push(vec![
            Cell::text(id),
            Cell::text(entry.role.to_string()),
            Cell::text(sees),
            Cell::text(entry.scope.feeds.join(" ")),
            Cell::text(entry.created.to_string()),
            Cell::text(entry.expires.map(|at| at.to_string()).unwrap_or_default()),
            Cell::text(standing),
            Cell::text(&entry.label),
        ]);
    }
    table
}

/// Reads a keyring whether or not there is one; for `config check`.
pub(super) fn good(path: &std::path::Path) -> anyhow::Result<usize> {
    let ring = Keyring::read(path).context("doors.keys")?;
    let now = host::now();
    Ok(ring.keys.values().filter(|entry| entry.is_good(now)).count())
}
