//! The watches of several namespaces as one: a store has one writer, and a list that is begun anew replaces all of it.

use std::{collections::BTreeSet, sync::Arc};

use futures::{Stream, StreamExt as _, stream};
use kube::{
    Resource, ResourceExt,
    runtime::{
        reflector::Store,
        watcher::{self, Event},
    },
};

/// What several watches of one kind have said so far.
#[derive(Debug)]
struct Joined<K> {
    parts: Vec<Part<K>>,
    /// Set when every namespace was listed once: till then nobody is told anything.
    whole: Whole,
}

/// Whether every namespace was listed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    NotYet,
    Yes,
}

/// One namespace.
#[derive(Debug)]
struct Part<K> {
    namespace: Option<String>,
    list: Vec<K>,
    listed: Whole,
}

impl<K> Joined<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    fn new(namespaces: impl IntoIterator<Item = Option<String>>) -> Self {
        let part = |namespace| Part { namespace, list: Vec::new(), listed: Whole::NotYet };
        Self { parts: namespaces.into_iter().map(part).collect(), whole: Whole::NotYet }
    }

    /// What one watch over all would say to an event of the watch `index`. `known` gives what is in the store.
    fn step(&mut self, index: usize, event: Event<K>, known: impl FnOnce() -> Vec<Arc<K>>) -> Vec<Event<K>> {
        let Some(part) = self.parts.get_mut(index) else { return Vec::new() };
        match event {
            Event::Init => {
                part.list.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                part.list.push(object);
                Vec::new()
            }
            Event::InitDone => {
                part.listed = Whole::Yes;
                match self.whole {
                    Whole::Yes => part.again(&known()),
                    Whole::NotYet => self.first(),
                }
            }
            Event::Apply(object) if self.whole == Whole::NotYet => {
                part.forget(&object);
                part.list.push(object);
                Vec::new()
            }
            Event::Delete(object) if self.whole == Whole::NotYet => {
                part.forget(&object);
                Vec::new()
            }
            event @ (Event::Apply(_) | Event::Delete(_)) => vec![event],
        }
    }

    /// The first list of all, when the last part of it is there.
    fn first(&mut self) -> Vec<Event<K>> {
        if self.parts.iter().any(|part| part.listed == Whole::NotYet) {
            return Vec::new();
        }
        self.whole = Whole::Yes;
        let all = self.parts.iter_mut().flat_map(|part| std::mem::take(&mut part.list)).map(Event::InitApply);
        std::iter::once(Event::Init).chain(all).chain([Event::InitDone]).collect()
    }
}

impl<K> Part<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    /// A later list of one namespace: what is not in it any more is gone, the other namespaces stay.
    fn again(&mut self, known: &[Arc<K>]) -> Vec<Event<K>> {
        let listed: BTreeSet<(Option<String>, String)> = self.list.iter().map(key).collect();
        let here = |object: &&Arc<K>| self.namespace.is_none() || self.namespace == object.namespace();
        let gone = known.iter().filter(here).filter(|object| !listed.contains(&key(object.as_ref())));
        let gone: Vec<Event<K>> = gone.map(|object| Event::Delete(K::clone(object))).collect();
        gone.into_iter().chain(std::mem::take(&mut self.list).into_iter().map(Event::Apply)).collect()
    }

    fn forget(&mut self, object: &K) {
        self.list.retain(|known| key(known) != key(object));
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> (Option<String>, String) {
    (object.namespace(), object.name_any())
}

/// The watches of several namespaces as one whose events go into `store`.
pub(super) fn joined<K, S>(
    parts: Vec<(Option<String>, S)>,
    store: Store<K>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let mut joined = Joined::new(parts.iter().map(|(namespace, _)| namespace.clone()));
    let numbered = parts.into_iter().enumerate();
    let streams = numbered.map(|(index, (_, part))| part.map(move |event| (index, event)).boxed());
    stream::select_all(streams).flat_map(move |(index, event)| {
        stream::iter(match event {
            Ok(event) => joined.step(index, event, || store.state()).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::ObjectMeta};
    use kube::runtime::reflector;

    use super::*;

    fn object(path: &str) -> Service {
        let (namespace, name) = path.split_once('/').unwrap();
        let metadata =
            ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() };
        Service { metadata, ..Service::default() }
    }

    /// Two namespaces, and the store that their watches fill.
    struct Two {
        joined: Joined<Service>,
        writer: reflector::store::Writer<Service>,
    }

    impl Two {
        fn new() -> Self {
            let joined = Joined::new([Some("one".to_owned()), Some("two".to_owned())]);
            Self { joined, writer: reflector::store::Writer::default() }
        }

        fn list(&mut self, index: usize, paths: &[&str]) -> &mut Self {
            self.say(index, Event::Init);
            for path in paths {
                self.say(index, Event::InitApply(object(path)));
            }
            self.say(index, Event::InitDone)
        }

        fn say(&mut self, index: usize, event: Event<Service>) -> &mut Self {
            let store = self.writer.as_reader();
            for event in self.joined.step(index, event, || store.state()) {
                self.writer.apply_watcher_event(&event);
            }
            self
        }

        fn holds(&self) -> Vec<String> {
            let path = |object: &Arc<Service>| format!("{}/{}", object.namespace().unwrap(), object.name_any());
            let mut paths: Vec<String> = self.writer.as_reader().state().iter().map(path).collect();
            paths.sort();
            paths
        }
    }

    #[test]
    fn nothing_is_known_before_every_namespace_was_listed() {
        let mut two = Two::new();
        two.list(0, &["one/a", "one/b"]);
        two.say(0, Event::Delete(object("one/a"))).say(0, Event::Apply(object("one/c")));
        assert_eq!(two.holds(), Vec::<String>::new());
        two.list(1, &["two/a"]);
        assert_eq!(two.holds(), ["one/b", "one/c", "two/a"]);
    }

    #[test]
    fn a_namespace_that_is_listed_anew_leaves_the_other_alone() {
        let mut two = Two::new();
        two.list(0, &["one/a", "one/b"]).list(1, &["two/a"]);
        two.list(0, &["one/b", "one/c"]);
        assert_eq!(two.holds(), ["one/b", "one/c", "two/a"]);
        two.list(1, &[]);
        assert_eq!(two.holds(), ["one/b", "one/c"]);
    }

    #[test]
    fn changes_go_through() {
        let mut two = Two::new();
        two.list(0, &[]).list(1, &["two/a"]);
        two.say(0, Event::Apply(object("one/a"))).say(1, Event::Delete(object("two/a")));
        assert_eq!(two.holds(), ["one/a"]);
    }

    #[test]
    fn a_list_that_breaks_off_and_begins_again_counts_once() {
        let mut two = Two::new();
        two.say(0, Event::Init).say(0, Event::InitApply(object("one/gone")));
        two.list(0, &["one/a"]).list(1, &[]);
        assert_eq!(two.holds(), ["one/a"]);
    }
}
