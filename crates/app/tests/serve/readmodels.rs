//! Read models against a Postgres of the test's own, which is killed and brought back.

use crate::world::{World, config};
use plimsoll_app::readmodels::{PostgresConfig, ReadModels};
use plimsoll_readmodels::{Account, Error, Liquidation, Margin, Store, Target};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// A server, its files and its port.
struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

/// Where Debian puts the newest `initdb`; the skipping is said aloud, and is a failure in CI.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    let newest = found.pop();
    if newest.is_none() {
        assert!(std::env::var_os("CI").is_none(), "postgresql is needed in CI");
        println!("skipped: there is no postgresql");
    }
    newest
}

impl Postgres {
    fn start() -> Option<Self> {
        let bin = bin()?;
        let dir = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
        let of_server = dir.path().join("server");
        std::fs::create_dir(&of_server).unwrap();
        if is_root() {
            // The server refuses to run as root.
            assert!(Command::new("chown").arg("postgres:").arg(&of_server).status().unwrap().success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let made = unprivileged(&bin.join("initdb"))
            .args(["--auth=trust", "--username=plimsoll", "--encoding=UTF8", "--no-sync", "--pgdata"])
            .arg(of_server.join("base"))
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb");
        let mut server = Self { bin, dir, port, child: None };
        server.up();
        Some(server)
    }

    fn base(&self) -> PathBuf {
        self.dir.path().join("server/base")
    }

    fn up(&mut self) {
        self.up_with(&[]);
    }

    /// With more options of the server.
    fn up_with(&mut self, more: &[String]) {
        let child = unprivileged(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.base())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .arg("-k")
            .arg(self.dir.path().join("server"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Goes on with a certificate for a name, which is given.
    fn encrypted(&mut self, name: &str) -> String {
        self.kill();
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let folder = self.dir.path().join("server");
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        if is_root() {
            assert!(
                Command::new("chown").arg("postgres:").args([&certificate, &key]).status().unwrap().success()
            );
        }
        let option = |name: &str, path: &Path| ["-c".to_owned(), format!("{name}={}", path.display())];
        let [file, key] = [option("ssl_cert_file", &certificate), option("ssl_key_file", &key)];
        self.up_with(&[&["-c".to_owned(), "ssl=on".to_owned()][..], &file, &key].concat());
        made.cert.pem()
    }

    /// As if the machine had failed: no checkpoint, every connection cut.
    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        let server = std::fs::read_to_string(self.base().join("postmaster.pid")).unwrap();
        let server = server.lines().next().unwrap().to_owned();
        assert!(Command::new("kill").args(["-QUIT", &server]).status().unwrap().success());
        child.wait().unwrap();
    }

    fn address(&self) -> String {
        format!("postgres://plimsoll@127.0.0.1:{}/postgres", self.port)
    }

    fn config(&self, dir: &Path) -> PostgresConfig {
        let url_file = dir.join("postgres.url");
        std::fs::write(&url_file, self.address()).unwrap();
        std::fs::set_permissions(&url_file, PermissionsExt::from_mode(0o600)).unwrap();
        PostgresConfig { url_file, authorities: None, every_ms: 20, worst: 3 }
    }

    async fn client(&self) -> Client {
        let begun = Instant::now();
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.address(), NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).current_dir("/");
    command
}

/// The one number or text that a query gives, as text.
async fn one(client: &Client, query: &str) -> Option<String> {
    let row = client.query_opt(&format!("select ({query})::text"), &[]).await.unwrap()?;
    row.get(0)
}

async fn whole(client: &Client, query: &str) -> u64 {
    one(client, query).await.map_or(0, |text| text.parse().unwrap())
}

/// Waits until everything up to the last record applied is in the database.
async fn caught_up(client: &Client, world: &World) {
    let applied = world.host.as_ref().unwrap().shared.applied();
    let begun = Instant::now();
    loop {
        let there = client.query_opt("select history, swept from plimsoll.progress", &[]).await;
        if let Ok(Some(row)) = &there {
            let (history, swept): (i64, i64) = (row.get(0), row.get(1));
            if history.unsigned_abs() >= applied && swept.unsigned_abs() >= applied {
                return;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not catch up to {applied}: {there:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start(server: &Postgres, world: &World) -> ReadModels {
    let journal = config(world.dir.path(), "").journal;
    let shared = &world.host.as_ref().unwrap().shared;
    ReadModels::start(&server.config(world.dir.path()), &journal, shared).unwrap()
}

/// The numbers of the database are those of the API: margins, vectors, history.
async fn equal(client: &Client, world: &World, accounts: &[&str]) {
    for account in accounts {
        let (_, answer) = world.get(&format!("/v1/accounts/{account}")).await;
        for name in ["equity", "im", "mm", "im_excess", "mm_excess"] {
            let said = answer["data"]["totals"][name].as_str().map(str::to_owned);
            let query = format!("select {name} from plimsoll.margins where account = '{account}'");
            assert_eq!(one(client, &query).await, said, "{account} {name}");
        }
        let query = format!("select standing from plimsoll.accounts where account = '{account}'");
        assert_eq!(one(client, &query).await.unwrap(), answer["data"]["standing"], "{account}");
        let query = format!("select positions from plimsoll.accounts where account = '{account}'");
        let positions: Value = serde_json::from_str(&one(client, &query).await.unwrap()).unwrap();
        assert_eq!(positions, answer["data"]["positions"], "{account}");
    }
    let worst =
        one(client, "select account from plimsoll.scenario_vectors where rank = 1 limit 1").await.unwrap();
    let (_, margin) = world.get(&format!("/v1/accounts/{worst}/margin")).await;
    let mut compared = 0;
    for underlying in margin["data"]["underlyings"].as_array().unwrap() {
        let query = format!(
            "select to_jsonb(pnl::text[]) from plimsoll.scenario_vectors where account = '{worst}' and underlying = '{}'",
            underlying["asset"].as_str().unwrap()
        );
        let pnl: Value = serde_json::from_str(&one(client, &query).await.unwrap()).unwrap();
        assert_eq!(pnl, underlying["pnl"]);
        compared += pnl.as_array().unwrap().len();
    }
    assert!(compared > 10, "{compared} cells compared");
    let (_, told) = world.get("/v1/liquidations?limit=1000").await;
    for happened in told["data"]["happened"].as_array().unwrap() {
        let query = format!(
            "select count(*) from plimsoll.liquidations where sequence = {} and body = '{}'",
            happened["sequence"],
            happened["what"].to_string().replace('\'', "''")
        );
        assert_eq!(whole(client, &query).await, 1, "{happened}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_what_the_api_says_and_survive_the_death_of_their_database() {
    let Some(mut server) = Postgres::start() else { return };
    let mut world = World::calm();
    let models = start(&server, &world);
    let client = server.client().await;
    caught_up(&client, &world).await;
    equal(&client, &world, &["alice", "bob"]).await;
    // A fall, in steps that are believed: bob is liquidated.
    world.open("carol", "2000");
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
    for price in ["3100", "2900", "2700"] {
        world.price("ETH", price);
    }
    caught_up(&client, &world).await;
    equal(&client, &world, &["alice", "bob", "carol"]).await;
    assert!(whole(&client, "select count(*) from plimsoll.liquidations where account = 'carol'").await > 0);
    let before = whole(&client, "select count(*) from plimsoll.liquidations").await;
    // The database dies; the engine goes on and is not slower for it.
    server.kill();
    let mut slowest = Duration::ZERO;
    for i in 0..200_u32 {
        let begun = Instant::now();
        world.price("ETH", &format!("{}", 2700 + i % 7));
        slowest = slowest.max(begun.elapsed());
    }
    world.open("dave", "10");
    assert!(slowest < Duration::from_secs(2), "an event took {slowest:?} while the database was away");
    server.up();
    let client = server.client().await;
    caught_up(&client, &world).await;
    equal(&client, &world, &["alice", "bob", "carol", "dave"]).await;
    assert!(whole(&client, "select count(*) from plimsoll.liquidations").await >= before);
    // Stopped and started again: migrations are made once, and nothing is counted twice.
    models.stop();
    let counts = "select (select count(*) from plimsoll.liquidations) || '/' || (select count(*) from plimsoll.margins)
                  || '/' || (select count(*) from plimsoll.migrations)";
    let told = one(&client, counts).await;
    let models = start(&server, &world);
    world.price("ETH", "2701");
    caught_up(&client, &world).await;
    assert_eq!(one(&client, counts).await, told);
    models.stop();
    println!("{} rows of history, the slowest event without a database {slowest:?}", told.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_and_gave_way_is_read_from_the_journal() {
    let Some(server) = Postgres::start() else { return };
    let mut world = World::calm();
    for i in 0..200 {
        let (long, short) = (format!("l{i}"), format!("s{i}"));
        world.open(&long, "100000");
        world.open(&short, "100000");
        world.trade(&long, &short, "ETH_USDC-PERPETUAL", "1", "3310");
    }
    // Each has a little more than it needs: every turn of the price calls one half and clears the other.
    let (_, answer) = world.get("/v1/accounts/l0").await;
    let short_of = |name: &str| answer["data"]["totals"][name].as_str().unwrap().parse::<f64>().unwrap();
    let out = format!("{:.2}", short_of("im_excess") - 20.0);
    for i in 0..200 {
        for side in ["l", "s"] {
            world.ok(
                json!({ "type": "withdraw", "account": format!("{side}{i}"), "asset": "USD", "amount": out }),
            );
        }
    }
    let mut turns = 0;
    while world.host.as_ref().unwrap().shared.course().chronicle.whole_after() == 0 {
        world.price("ETH", if turns % 2 == 0 { "3380" } else { "3240" });
        turns += 1;
        assert!(turns < 200, "the price moves nobody");
    }
    for turn in 0..4 {
        world.price("ETH", if turn % 2 == 0 { "3380" } else { "3240" });
    }
    let models = start(&server, &world);
    let client = server.client().await;
    caught_up(&client, &world).await;
    let there = whole(&client, "select count(*) from plimsoll.liquidations").await;
    models.stop();
    let (mut expected, dir) = (0, config(world.dir.path(), "").journal.dir);
    plimsoll_app::host::follow(
        &dir,
        (plimsoll_app::host::Begin::First, plimsoll_app::host::End::default()),
        |_, taken| {
            let kinds = taken.effects.iter().filter_map(plimsoll_app::host::chronicle::kind);
            expected +=
                kinds.filter(|kind| *kind == plimsoll_app::host::chronicle::Kind::Accounts).count() as u64;
            Ok(std::ops::ControlFlow::Continue(()))
        },
    )
    .unwrap();
    assert!(expected > 5_000, "{expected}: nothing gave way");
    assert_eq!(there, expected);
    println!("{there} rows of history over {turns} turns, of which 5000 were still noted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_gives_way_only_to_a_later_one_and_history_is_written_once() {
    let Some(server) = Postgres::start() else { return };
    let client = server.client().await;
    let target = Target::parse(&server.address(), None).unwrap();
    let mut store = Store::open(&target, "us").await.unwrap();
    drop(Store::open(&target, "us").await.unwrap());
    let refused = Store::open(&target, "somebody else").await.unwrap_err();
    assert!(matches!(&refused, Error::Foreign { found, .. } if found == "us"), "{refused}");
    let row = |sequence: i64, equity: &str| {
        let (account, as_of) = ("a".to_owned(), "2026-01-16T08:00:00.123456Z".to_owned());
        let amounts = Some([equity, "1", "1", "1", "1"].map(str::to_owned));
        let margin =
            Margin { account: account.clone(), sequence, as_of: as_of.clone(), parameters: 1, amounts };
        let (positions, collateral) = ("[]".to_owned(), "[]".to_owned());
        let standing = "healthy".to_owned();
        (
            Account {
                account,
                sequence,
                as_of,
                standing,
                intent: None,
                unvalued: None,
                positions,
                collateral,
            },
            margin,
        )
    };
    for (sequence, equity) in [(5, "123456789012345678.123456"), (4, "4"), (5, "5")] {
        let (account, margin) = row(sequence, equity);
        store.accounts(&[account], &[margin]).await.unwrap();
        let there = one(&client, "select equity from plimsoll.margins").await.unwrap();
        assert_eq!(there, "123456789012345678.123456", "after a row of {sequence}");
    }
    let happened = |ordinal| Liquidation {
        sequence: 7,
        ordinal,
        as_of: "2026-01-16T08:00:00Z".to_owned(),
        effect: "standing".to_owned(),
        account: Some("a".to_owned()),
        intent: None,
        body: "{}".to_owned(),
    };
    for _ in 0..3 {
        store.history((7, "2026-01-16T08:00:00Z"), &[], &[happened(0), happened(1)]).await.unwrap();
    }
    assert_eq!(whole(&client, "select count(*) from plimsoll.liquidations").await, 2);
    // An older writer does not take it back.
    store.history((3, "2026-01-15T08:00:00Z"), &[], &[]).await.unwrap();
    assert_eq!(store.progress().await.unwrap().history, 7);
    client.execute("update plimsoll.migrations set digest = 'other'", &[]).await.unwrap();
    let refused = Store::open(&target, "us").await.unwrap_err();
    assert!(matches!(refused, Error::Migration { number: 1 }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_ahead_of_the_journal_is_left_alone() {
    let Some(server) = Postgres::start() else { return };
    let world = World::calm();
    let client = server.client().await;
    let identity = config(world.dir.path(), "").journal.identity;
    let target = Target::parse(&server.address(), None).unwrap();
    let mut store = Store::open(&target, &identity).await.unwrap();
    store.history((1_000_000, "2026-01-16T08:00:00Z"), &[], &[]).await.unwrap();
    let models = start(&server, &world);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    models.stop();
    assert_eq!(whole(&client, "select count(*) from plimsoll.margins").await, 0);
}

#[test]
fn an_address_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url_file = dir.path().join("postgres.url");
    std::fs::write(&url_file, "postgres://u:hunter2@127.0.0.1/x").unwrap();
    let config = |mode| {
        std::fs::set_permissions(&url_file, PermissionsExt::from_mode(mode)).unwrap();
        PostgresConfig { url_file: url_file.clone(), authorities: None, every_ms: 1_000, worst: 20 }.check()
    };
    config(0o600).unwrap();
    let refused = format!("{:#}", config(0o640).unwrap_err());
    assert!(refused.contains("640") && !refused.contains("hunter2"), "{refused}");
    std::fs::write(&url_file, "hunter2").unwrap();
    let refused = format!("{:#}", config(0o600).unwrap_err());
    assert!(refused.contains("no address") && !refused.contains("hunter2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_the_database_proves_who_it_is_or_is_told_nothing() {
    let Some(mut server) = Postgres::start() else { return };
    server.client().await;
    // The name is another machine's; where it is stands beside it.
    let address = |name: &str| {
        format!("host={name} hostaddr=127.0.0.1 port={} user=plimsoll dbname=postgres", server.port)
    };
    let (right, wrong) = (address("db.example"), address("other.example"));
    let stranger = rcgen::generate_simple_self_signed(vec!["db.example".to_owned()]).unwrap().cert.pem();
    let open = async |address: &str, authorities: &str| {
        let target = Target::parse(address, Some(authorities.as_bytes())).unwrap();
        Store::open(&target, "test").await.map(drop)
    };
    assert!(open(&right, &stranger).await.is_err(), "a server that does not encrypt");
    let certificate = server.encrypted("db.example");
    let client = server.client().await;
    assert!(open(&right, &stranger).await.is_err(), "a certificate that nobody trusts");
    assert!(open(&wrong, &certificate).await.is_err(), "a certificate of another name");
    assert_eq!(one(&client, "to_regnamespace('plimsoll')").await, None, "nothing was told");
    open(&right, &certificate).await.unwrap();
    assert_eq!(one(&client, "to_regnamespace('plimsoll')").await.as_deref(), Some("plimsoll"));
}
