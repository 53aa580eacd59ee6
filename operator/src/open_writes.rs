//! The writes that are under way, at the API server and at the relays. Who gives the lease up waits for them: one that is cut off may be done
//! all the same, after the first of the next leader. Nor is it known of one that got no answer whether it is done already,
//! or still to come. Nobody waits longer than [`WRITE_TIMEOUT`].

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{Method, Request};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tower::{Layer, Service};

use crate::lease::decide::{HOLDS, WRITE_TIMEOUT};

/// A request that was given up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("failed to get an answer of the API server within {} s", WRITE_TIMEOUT.as_secs())]
pub struct Unanswered;

/// A layer of a client that knows its open writes, and can begin no more. It gives up what takes too long, reads too. What
/// relays are told counts among them.
#[derive(Clone, Debug, Default)]
pub struct OpenWrites(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    gate: Mutex<Gate>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Gate {
    open: usize,
    shut: bool,
    /// When the last of those ended that got no answer.
    unanswered: Option<Instant>,
}

impl Gate {
    fn ended(&self, now: Instant) -> Ended {
        match self.unanswered {
            Some(last) if now.duration_since(last) < HOLDS => Ended::InDoubt,
            Some(_) | None => Ended::Answered,
        }
    }
}

/// How writes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of them were answered: none is still to come.
    Answered,
    /// One was not: it may be carried out later. What is as old as a lease holds is left out.
    InDoubt,
}

impl OpenWrites {
    /// Lets no more begin, and waits until all that were begun have ended. Reads go on.
    pub async fn end(&self) -> Ended {
        self.0.gate.lock().shut = true;
        while self.0.gate.lock().open > 0 {
            self.0.ended.notified().await;
        }
        self.0.gate.lock().ended(Instant::now())
    }

    /// One that begins now, and is in doubt until it has an answer. Waits for ever where none may begin any more.
    pub(crate) async fn begun(&self) -> Open {
        match self.begin() {
            Some(open) => open,
            None => pending().await,
        }
    }

    /// None: none may begin any more.
    fn begin(&self) -> Option<Open> {
        let mut gate = self.0.gate.lock();
        if gate.shut {
            return None;
        }
        gate.open += 1;
        Some(Open { shared: self.0.clone(), end: Ended::InDoubt })
    }
}

/// One of them.
pub(crate) struct Open {
    shared: Arc<Shared>,
    /// How it ends if it ends now.
    pub(crate) end: Ended,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut gate = self.shared.gate.lock();
        gate.open -= 1;
        if self.end == Ended::InDoubt {
            gate.unanswered = Some(Instant::now());
        }
        drop(gate);
        self.shared.ended.notify_one();
    }
}

impl<S> Layer<S> for OpenWrites {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, writes: self.clone() }
    }
}

/// A service whose writes are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    writes: OpenWrites,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>>,
    S::Response: 'static,
    S::Error: From<Unanswered> + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() == Method::GET {
            return Box::pin(in_time(self.inner.call(request)));
        }
        let Some(mut open) = self.writes.begin() else { return Box::pin(pending()) };
        let answer = in_time(self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await;
            if answer.is_ok() {
                open.end = Ended::Answered;
            }
            drop(open);
            answer
        })
    }
}

async fn in_time<T, E: From<Unanswered>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    timeout(WRITE_TIMEOUT, answer).await.unwrap_or_else(|_| Err(Unanswered.into()))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};
    use parking_lot::Mutex;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    type Seen = Arc<Mutex<Vec<Method>>>;

    /// An API server that answers reads at once, and a write when it is told to.
    fn server(
        seen: Seen,
        answers: Arc<Notify>,
        writes: &OpenWrites,
    ) -> impl Service<Request<()>, Response = Method, Error = Unanswered, Future: Send> + Clone {
        let answer = move |request: Request<()>| {
            let (seen, answers) = (seen.clone(), answers.clone());
            async move {
                let method = request.method().clone();
                seen.lock().push(method.clone());
                if method != Method::GET {
                    answers.notified().await;
                }
                Ok(method)
            }
        };
        writes.layer(service_fn(answer))
    }

    fn request(method: Method) -> Request<()> {
        Request::builder().method(method).body(()).unwrap()
    }

    #[tokio::test]
    async fn what_was_begun_is_waited_for_and_no_more_begins() {
        let (writes, answers, seen) = (OpenWrites::default(), Arc::new(Notify::new()), Seen::default());
        let server = server(seen.clone(), answers.clone(), &writes);
        let mut begun = Box::pin(server.clone().oneshot(request(Method::PATCH)));
        assert!(poll!(&mut begun).is_pending());

        let mut end = Box::pin(writes.end());
        assert!(poll!(&mut end).is_pending(), "one is under way");
        let mut late = Box::pin(server.clone().oneshot(request(Method::POST)));
        assert!(poll!(&mut late).is_pending());
        assert_eq!(*seen.lock(), [Method::PATCH], "none begins any more");
        let read = server.oneshot(request(Method::GET)).now_or_never();
        assert_eq!(read.unwrap().unwrap(), Method::GET, "reads go on");

        answers.notify_one();
        assert_eq!(begun.await.unwrap(), Method::PATCH);
        assert_eq!(end.await, Ended::Answered);
        assert!(poll!(&mut late).is_pending());
    }

    #[tokio::test]
    async fn one_that_was_given_up_is_not_waited_for_but_in_doubt() {
        let writes = OpenWrites::default();
        let server = server(Seen::default(), Arc::default(), &writes);
        let mut begun = Box::pin(server.oneshot(request(Method::PUT)));
        assert!(poll!(&mut begun).is_pending());
        drop(begun);
        assert_eq!(writes.end().now_or_never(), Some(Ended::InDoubt));
        let later = writes.0.gate.lock().ended(Instant::now() + HOLDS);
        assert_eq!(later, Ended::Answered, "a lease would have run out since");
    }

    #[tokio::test]
    async fn one_that_failed_on_its_way_is_in_doubt() {
        let writes = OpenWrites::default();
        let lost = service_fn(async |_: Request<()>| Err::<Method, _>(Unanswered));
        assert!(writes.layer(lost).oneshot(request(Method::PUT)).await.is_err());
        assert_eq!(writes.end().now_or_never(), Some(Ended::InDoubt));
    }
}
