//! Migrations: numbered, embedded, made once and never changed.

use crate::{Error, Result};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

/// In this order. One that was released is never changed: another is added.
const MIGRATIONS: [(i32, &str); 1] = [(1, include_str!("../migrations/0001_read_models.sql"))];

/// The lock that migrating writers wait for: any number that is always the same.
const LOCK: i64 = 0x706c_696d;

/// Makes the migrations that are missing, all or none.
pub(crate) async fn migrate(client: &mut Client) -> Result<()> {
    let transaction = client.transaction().await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction
        .batch_execute(
            "create schema if not exists plimsoll;
             create table if not exists plimsoll.migrations
                 (number integer primary key, digest text not null, made timestamptz not null default now())",
        )
        .await?;
    let made =
        transaction.query("select number, digest from plimsoll.migrations order by number", &[]).await?;
    for row in &made {
        let (number, digest): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        let known = MIGRATIONS.iter().find(|(known, _)| *known == number);
        if known.is_none_or(|(_, text)| digest_of(text) != digest) {
            return Err(Error::Migration { number });
        }
    }
    for (number, text) in MIGRATIONS.iter().skip(made.len()) {
        transaction.batch_execute(text).await?;
        transaction
            .execute(
                "insert into plimsoll.migrations (number, digest) values ($1, $2)",
                &[number, &digest_of(text)],
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}

fn digest_of(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
