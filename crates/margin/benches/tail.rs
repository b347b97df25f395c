//! Expected shortfall of a book over a stream of joint scenarios: 20,000 accounts of 12 positions, 2,048 scenarios.

#![allow(clippy::unwrap_used, reason = "a bench fails by a panic")]
#![allow(missing_docs, reason = "the macro makes an item that cannot be documented")]

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll_lanes::Path;
use plimsoll_margin::tail::{JointBlock, TailLosses};
use plimsoll_margin::{JointTerms, Statistic};
use plimsoll_types::{Book, InstrumentIx, Lots, Position, Ppb, Ticks};

const INSTRUMENTS: u64 = 4_000;
const WIDTH: usize = 512;

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn book(draw: &mut Draw) -> Book {
    let mut book = Book::default();
    for account in 0..20_000 {
        let mut held: Vec<u32> = (0..12).map(|_| draw.below(INSTRUMENTS) as u32).collect();
        held.sort_unstable();
        held.dedup();
        let mut position = |ix: &u32| {
            let lots = draw.below(20_001).cast_signed() - 10_000;
            Position { instrument: InstrumentIx(*ix), lots: Lots(lots), unrealised: Ticks(0) }
        };
        let positions: Vec<Position> = held.iter().map(&mut position).collect();
        book.push(format!("a{account:06}").parse().unwrap(), &positions, vec![], vec![]).unwrap();
    }
    book
}

fn shortfall(criterion: &mut Criterion) {
    let mut draw = Draw(42);
    let book = book(&mut draw);
    let mut blocks = Vec::new();
    for _ in 0..4 {
        let entry = |_| draw.below(20_000_001).cast_signed() - 10_000_000;
        blocks.push((0..INSTRUMENTS as usize * WIDTH).map(entry).collect::<Vec<i64>>());
    }
    let level = Ppb(990_000_000);
    let terms = JointTerms { statistic: Statistic::ExpectedShortfall, level, stress_weight: Ppb(0) };
    for path in Path::available() {
        criterion.bench_function(&format!("expected shortfall {}", path.name()), |b| {
            b.iter(|| {
                let mut tail = TailLosses::new(&book, &terms, 4 * WIDTH).unwrap();
                for pnl in &blocks {
                    tail.add(path, &book, &JointBlock { pnl, width: WIDTH }).unwrap();
                }
                tail.finish().unwrap()
            });
        });
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = shortfall }
criterion_main!(benches);
