//! Writes. Each is one transaction, and doing it again changes nothing.

use crate::migrate::migrate;
use crate::rows::{Account, Change, Liquidation, Margin, Vector};
use crate::target::Target;
use crate::{Error, Result};
use std::future::Future;
use std::time::Duration;
use tokio_postgres::{Client, Transaction};

/// A write takes so long at most: a database that hangs is one that is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far a database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// It holds the history up to this record.
    pub history: u64,
    /// Every account in it is right as of a record at or after this one.
    pub swept: u64,
}

/// A database that is connected, migrated and this journal's own.
#[derive(Debug)]
pub struct Store {
    client: Client,
}

impl Store {
    /// Connects, migrates, and makes sure whose the database is.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Migration`], [`Error::Database`], [`Error::Timeout`].
    pub async fn open(target: &Target, identity: &str) -> Result<Self> {
        patiently(async {
            let mut client = target.connect().await?;
            migrate(&mut client).await?;
            client
                .execute(
                    "insert into plimsoll.progress (identity, history, swept) values ($1, 0, 0) on conflict do nothing",
                    &[&identity],
                )
                .await?;
            let found: String = client.query_one("select identity from plimsoll.progress", &[]).await?.try_get(0)?;
            if found != identity {
                return Err(Error::Foreign { found, expected: identity.to_owned() });
            }
            Ok(Self { client })
        })
        .await
    }

    /// How far it is.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Timeout`].
    pub async fn progress(&self) -> Result<Progress> {
        patiently(async {
            let row = self.client.query_one("select history, swept from plimsoll.progress", &[]).await?;
            let (history, swept): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Progress { history: history.unsigned_abs(), swept: swept.unsigned_abs() })
        })
        .await
    }

    /// Accounts and their margins, where they are later than what is there.
    ///
    /// # Errors
    /// As [`Store::progress`]. All of them are written, or none.
    pub async fn accounts(&mut self, accounts: &[Account], margins: &[Margin]) -> Result<()> {
        let client = &mut self.client;
        patiently(async {
            let transaction = client.transaction().await?;
            write_accounts(&transaction, accounts).await?;
            write_margins(&transaction, margins).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The scenario vectors of the accounts that are worst off, in place of those there were; and that all accounts were looked at
    /// since a record.
    ///
    /// # Errors
    /// As [`Store::accounts`].
    pub async fn swept(&mut self, since: u64, vectors: &[Vector]) -> Result<()> {
        let client = &mut self.client;
        let since = whole(since);
        patiently(async {
            let transaction = client.transaction().await?;
            let kept = column(vectors, |of| of.account.as_str());
            transaction
                .execute(
                    "delete from plimsoll.scenario_vectors where sequence <= $2 and account <> all ($1)",
                    &[&kept, &since],
                )
                .await?;
            write_vectors(&transaction, vectors).await?;
            transaction
                .execute("update plimsoll.progress set swept = greatest(swept, $1)", &[&since])
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// History, and that it is whole up to a record, of which the engine's time is told.
    ///
    /// # Errors
    /// As [`Store::accounts`].
    pub async fn history(
        &mut self,
        (until, as_of): (u64, &str),
        changes: &[Change],
        liquidations: &[Liquidation],
    ) -> Result<()> {
        let client = &mut self.client;
        patiently(async {
            let transaction = client.transaction().await?;
            write_changes(&transaction, changes).await?;
            write_liquidations(&transaction, liquidations).await?;
            transaction
                .execute(
                    "update plimsoll.progress set history = $1, as_of = $2::text::timestamptz where history <= $1",
                    &[&whole(until), &as_of],
                )
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Says that the history of the records after one, up to another, is missing and will stay so.
    ///
    /// # Errors
    /// As [`Store::progress`].
    pub async fn gap(&mut self, after: u64, until: u64) -> Result<()> {
        let client = &mut self.client;
        patiently(async {
            let transaction = client.transaction().await?;
            transaction
                .execute(
                    "insert into plimsoll.gaps values ($1, $2)
                     on conflict (after_record) do update set until_record = greatest(gaps.until_record, excluded.until_record)",
                    &[&whole(after), &whole(until)],
                )
                .await?;
            transaction
                .execute("update plimsoll.progress set history = greatest(history, $1)", &[&whole(until)])
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }
}

async fn patiently<T>(doing: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::Timeout { seconds: PATIENCE.as_secs() };
    tokio::time::timeout(PATIENCE, doing).await.map_err(late)?
}

/// A sequence as Postgres counts; the journal ends long before.
fn whole(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn column<'a, R, T>(rows: &'a [R], read: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(read).collect()
}

async fn write_accounts(transaction: &Transaction<'_>, rows: &[Account]) -> Result<()> {
    transaction
        .execute(
            "insert into plimsoll.accounts as held
                 (account, sequence, as_of, standing, intent, unvalued, positions, collateral)
             select account, sequence, as_of::timestamptz, standing, intent, unvalued, positions::jsonb, collateral::jsonb
             from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])
                 as told (account, sequence, as_of, standing, intent, unvalued, positions, collateral)
             on conflict (account) do update set
                 sequence = excluded.sequence, as_of = excluded.as_of, standing = excluded.standing,
                 intent = excluded.intent, unvalued = excluded.unvalued, positions = excluded.positions,
                 collateral = excluded.collateral
             where held.sequence < excluded.sequence",
            &[
                &column(rows, |row| row.account.as_str()),
                &column(rows, |row| row.sequence),
                &column(rows, |row| row.as_of.as_str()),
                &column(rows, |row| row.standing.as_str()),
                &column(rows, |row| row.intent),
                &column(rows, |row| row.unvalued.as_deref()),
                &column(rows, |row| row.positions.as_str()),
                &column(rows, |row| row.collateral.as_str()),
            ],
        )
        .await?;
    Ok(())
}

async fn write_margins(transaction: &Transaction<'_>, rows: &[Margin]) -> Result<()> {
    let amount = |place: usize| {
        column(rows, |row| row.amounts.as_ref().and_then(|amounts| amounts.get(place)).map(String::as_str))
    };
    transaction
        .execute(
            "insert into plimsoll.margins as held
                 (account, sequence, as_of, parameters, equity, im, mm, im_excess, mm_excess)
             select account, sequence, as_of::timestamptz, parameters, equity::numeric, im::numeric, mm::numeric,
                 im_excess::numeric, mm_excess::numeric
             from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
                 as told (account, sequence, as_of, parameters, equity, im, mm, im_excess, mm_excess)
             on conflict (account) do update set
                 sequence = excluded.sequence, as_of = excluded.as_of, parameters = excluded.parameters,
                 equity = excluded.equity, im = excluded.im, mm = excluded.mm,
                 im_excess = excluded.im_excess, mm_excess = excluded.mm_excess
             where held.sequence < excluded.sequence",
            &[
                &column(rows, |row| row.account.as_str()),
                &column(rows, |row| row.sequence),
                &column(rows, |row| row.as_of.as_str()),
                &column(rows, |row| row.parameters),
                &amount(0),
                &amount(1),
                &amount(2),
                &amount(3),
                &amount(4),
            ],
        )
        .await?;
    Ok(())
}

async fn write_vectors(transaction: &Transaction<'_>, rows: &[Vector]) -> Result<()> {
    // Few rows, each with arrays of its own length: one statement each.
    let statement = transaction
        .prepare(
            "insert into plimsoll.scenario_vectors as held
                 (account, underlying, rank, sequence, as_of, scenarios, pnl)
             values ($1, $2, $3, $4, $5::text::timestamptz, $6, ($7::text[])::numeric[])
             on conflict (account, underlying) do update set
                 rank = excluded.rank, sequence = excluded.sequence, as_of = excluded.as_of,
                 scenarios = excluded.scenarios, pnl = excluded.pnl
             where held.sequence <= excluded.sequence",
        )
        .await?;
    for row in rows {
        transaction
            .execute(
                &statement,
                &[
                    &row.account,
                    &row.underlying,
                    &row.rank,
                    &row.sequence,
                    &row.as_of,
                    &row.scenarios,
                    &row.pnl,
                ],
            )
            .await?;
    }
    Ok(())
}

async fn write_changes(transaction: &Transaction<'_>, rows: &[Change]) -> Result<()> {
    transaction
        .execute(
            "insert into plimsoll.parameter_changes
                 (sequence, ordinal, as_of, version, parameter, value_before, value_after, maintenance, causes, words)
             select sequence, ordinal, as_of::timestamptz, version, parameter, before::numeric, later::numeric,
                 maintenance::jsonb, causes::jsonb, words
             from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
                 as told (sequence, ordinal, as_of, version, parameter, before, later, maintenance, causes, words)
             on conflict do nothing",
            &[
                &column(rows, |row| row.sequence),
                &column(rows, |row| row.ordinal),
                &column(rows, |row| row.as_of.as_str()),
                &column(rows, |row| row.version),
                &column(rows, |row| row.parameter.as_str()),
                &column(rows, |row| row.before.as_str()),
                &column(rows, |row| row.after.as_str()),
                &column(rows, |row| row.maintenance.as_str()),
                &column(rows, |row| row.causes.as_str()),
                &column(rows, |row| row.words.as_str()),
            ],
        )
        .await?;
    Ok(())
}

async fn write_liquidations(transaction: &Transaction<'_>, rows: &[Liquidation]) -> Result<()> {
    transaction
        .execute(
            "insert into plimsoll.liquidations (sequence, ordinal, as_of, effect, account, intent, body)
             select sequence, ordinal, as_of::timestamptz, effect, account, intent, body::jsonb
             from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
                 as told (sequence, ordinal, as_of, effect, account, intent, body)
             on conflict do nothing",
            &[
                &column(rows, |row| row.sequence),
                &column(rows, |row| row.ordinal),
                &column(rows, |row| row.as_of.as_str()),
                &column(rows, |row| row.effect.as_str()),
                &column(rows, |row| row.account.as_deref()),
                &column(rows, |row| row.intent),
                &column(rows, |row| row.body.as_str()),
            ],
        )
        .await?;
    Ok(())
}
