//! Read models in Postgres: what others ask for in SQL, kept beside the engine and never in its way.
//!
//! **The one idea:** every write says after which record of the journal it is true, and may be done again. A row is replaced only by one of
//! a later record; history is told apart by record and place in it. So a writer that was cut off begins again where the
//! database says it was, and nothing is counted twice.
//!
//! **Must never know:** margin, the engine, the journal. What a number means is for those who make the rows; here it is text of a
//! decimal, and `numeric` in the table.

mod migrate;
mod rows;
mod target;
mod write;

pub use rows::{Account, Change, Liquidation, Margin, Vector};
pub use target::Target;
pub use write::{Progress, Store};

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none; what it says may be secret, and is not repeated.
    #[error("this is no address of a database: postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Address,
    /// A connection that leaves the machine is encrypted.
    #[error("`sslmode=disable`, and the database is not on this machine")]
    Plain,
    /// No authority to trust.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The database holds what another journal says.
    #[error("the database holds the read models of `{found}`, and not of `{expected}`")]
    Foreign {
        /// Whose it holds.
        found: String,
        /// Whose were to be written.
        expected: String,
    },
    /// A migration that was made is not the one this build knows.
    #[error("migration {number} was made by another text: the database is of a later or a changed version")]
    Migration {
        /// Which.
        number: i32,
    },
    /// It took too long.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
    /// What the database says.
    #[error("database: {}", told(.0))]
    Database(#[from] tokio_postgres::Error),
}

/// What a database says, with its causes.
fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(of) = cause {
        text = format!("{text}: {of}");
        cause = of.source();
    }
    text
}

/// What is done, or not.
pub type Result<T> = std::result::Result<T, Error>;
