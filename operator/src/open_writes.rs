//! The writes that are under way at the API server. Who gives the lease up waits for them: one that is cut off may be done
//! all the same, after the first of the next leader.

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{Method, Request};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tower::{Layer, Service};

/// A layer of a client that knows its open writes, and can begin no more.
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
}

impl OpenWrites {
    /// Lets no more begin, and waits until all that were begun have their answer. Reads go on.
    pub async fn end(&self) {
        self.0.gate.lock().shut = true;
        while self.0.gate.lock().open > 0 {
            self.0.ended.notified().await;
        }
    }

    /// None: none may begin any more.
    fn begin(&self) -> Option<Open> {
        let mut gate = self.0.gate.lock();
        if gate.shut {
            return None;
        }
        gate.open += 1;
        Some(Open(self.0.clone()))
    }
}

/// One of them.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.gate.lock().open -= 1;
        self.0.ended.notify_one();
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
    S::Error: 'static,
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
            return Box::pin(self.inner.call(request));
        }
        let Some(open) = self.writes.begin() else { return Box::pin(pending()) };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(open);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

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
    ) -> impl Service<Request<()>, Response = Method, Error = Infallible, Future: Send> + Clone {
        let answer = move |request: Request<()>| {
            let (seen, answers) = (seen.clone(), answers.clone());
            async move {
                let method = request.method().clone();
                seen.lock().push(method.clone());
                if method != Method::GET {
                    answers.notified().await;
                }
                Ok::<_, Infallible>(method)
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
        assert_eq!(server.oneshot(request(Method::GET)).now_or_never(), Some(Ok(Method::GET)), "reads go on");

        answers.notify_one();
        assert_eq!(begun.await, Ok(Method::PATCH));
        end.await;
        assert!(poll!(&mut late).is_pending());
    }

    #[tokio::test]
    async fn one_that_was_given_up_is_not_waited_for() {
        let writes = OpenWrites::default();
        let server = server(Seen::default(), Arc::default(), &writes);
        let mut begun = Box::pin(server.oneshot(request(Method::PUT)));
        assert!(poll!(&mut begun).is_pending());
        drop(begun);
        assert_eq!(writes.end().now_or_never(), Some(()));
    }
}
