//! Random lives of a spool against a simple model: what was acknowledged is there, what is done is not, whatever
//! happens to the power.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    kit::*,
    rig::{Fault, Rig},
};
use crate::{
    message::{MessageId, MessageState},
    spool::{Change, Spool, Then, keeper},
};

#[derive(Clone, Debug)]
enum Step {
    Store(u16),
    Large(u16),
    Keep(prop::sample::Index, u32),
    Done(prop::sample::Index),
    /// The end of a message, with a report.
    Bounce(prop::sample::Index),
    Rewrite(prop::sample::Index),
    Close,
    Crash,
    /// So many octets that were not synced are on the disk all the same, and removals are or are not.
    CutPower(u16, bool),
    Fail(Fault),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0u16..3000).prop_map(Step::Store),
        1 => (0u16..3000).prop_map(Step::Large),
        3 => (index(), 0u32..9).prop_map(|(index, attempts)| Step::Keep(index, attempts)),
        6 => index().prop_map(Step::Done),
        2 => index().prop_map(Step::Bounce),
        3 => index().prop_map(Step::Rewrite),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        2 => (0u16..300, any::<bool>()).prop_map(|(extra, raise)| Step::CutPower(extra, raise)),
        1 => prop::sample::select(vec![Fault::Short(30), Fault::Sync, Fault::SyncAndCut, Fault::Write])
            .prop_map(Step::Fail),
    ]
}

type Model = BTreeMap<MessageId, (Vec<u8>, MessageState)>;

struct World {
    place: Place,
    rig: Arc<Rig>,
    spool: Option<Arc<Spool>>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let mut world = Self { place: Place::new(), rig: Arc::default(), spool: None, model: Model::new() };
        world.place.options.segment_size = Some(8 << 10);
        world.open();
        world
    }

    fn open(&mut self) {
        self.spool = None;
        let (spool, recovery) = self.place.open_on(Arc::clone(&self.rig) as _).unwrap();
        assert_eq!(recovery.damage, Vec::<String>::new());
        self.spool = Some(spool);
        self.check();
    }

    fn spool(&self) -> &Arc<Spool> {
        self.spool.as_ref().unwrap()
    }

    fn check(&self) {
        let spool = self.spool();
        assert_eq!(ids(spool), self.model.keys().copied().collect::<Vec<_>>());
        for (id, (octets, state)) in &self.model {
            assert_eq!(content(spool, *id), *octets);
            assert_eq!(spool.peek(*id).unwrap().1, *state);
        }
    }

    fn pick(&self, index: prop::sample::Index) -> Option<MessageId> {
        (!self.model.is_empty()).then(|| *self.model.keys().nth(index.index(self.model.len())).unwrap())
    }

    async fn step(&mut self, number: usize, step: Step) {
        let octets = |length: u16| vec![u8::try_from(number % 251).unwrap(); usize::from(length)];
        match step {
            Step::Store(length) => {
                let id = store(self.spool(), &octets(length)).await;
                self.model.insert(id, (octets(length), MessageState::new(1)));
            }
            Step::Large(length) => {
                let id = store_large(self.spool(), &octets(length)).await.unwrap();
                self.model.insert(id, (octets(length), MessageState::new(1)));
            }
            Step::Keep(index, attempts) => {
                let Some(id) = self.pick(index) else { return };
                let state = waiting(NOW, attempts);
                keep(self.spool(), id, state.clone()).await;
                self.model.get_mut(&id).unwrap().1 = state;
            }
            Step::Done(index) => {
                let Some(id) = self.pick(index) else { return };
                done(self.spool(), id).await;
                self.model.remove(&id);
            }
            Step::Bounce(index) => {
                let Some(id) = self.pick(index) else { return };
                let reports = vec![message("sender@example.com", &octets(200))];
                let reports = self.spool().commit(Change { id, then: Then::Done, reports }).await.unwrap();
                self.model.remove(&id);
                self.model.insert(reports[0], (octets(200), MessageState::new(1)));
            }
            Step::Rewrite(index) => {
                let files = self.place.files("log", ".seg");
                // Never the one that is written to, and it may be gone by now.
                let Some(file) = files.get(index.index(files.len())).filter(|file| Some(*file) != files.last()) else {
                    return;
                };
                let segment = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                let shared = Arc::clone(&self.spool().shared);
                let rewrite = move || {
                    let _ = keeper::rewrite(&shared, segment);
                    keeper::remove_segments(&shared);
                };
                std::thread::spawn(rewrite).join().unwrap();
            }
            Step::Close => {
                self.spool().close().await;
                self.open();
            }
            Step::Crash => self.open(),
            Step::CutPower(extra, raise) => {
                // The threads stop first, so that the picture that is taken is of one moment.
                self.spool = None;
                self.place = self.rig.cut_power(&self.place, u64::from(extra), raise);
                self.rig = Arc::default();
                self.rig.assume_durable(&self.place);
                self.open();
            }
            Step::Fail(fault) => {
                // Met by the next commit, and gone before anything else can meet it.
                self.rig.fail(&[fault]);
                let id = store(self.spool(), &octets(100)).await;
                self.model.insert(id, (octets(100), MessageState::new(1)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_done_rises(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for (number, step) in steps.into_iter().enumerate() {
                world.step(number, step).await;
            }
            world.check();
            world.open();
        });
    }
}
