//! The layer in front of `s3s-fs`.

use super::answer::{cut, drip, flipped, refusal, shorten};
use super::request::{between, classify, header, object_key, query};
use super::sums::{crc32, crc32_of, crc64, md5_etag};
use super::uploads::Uploads;
use super::{Checksums, Fault, OWNER, Operation, PATIENCE, Rule, Seen};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const CRC64: &str = "x-amz-checksum-crc64nvme";

/// The header of a checksum, and its value.
type Sum = (&'static str, String);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Decides about every request, then hands it on.
#[derive(Debug)]
pub struct Layer {
    root: PathBuf,
    auth: (&'static str, &'static str),
    /// One write at a time: `s3s-fs` compares and writes in two steps.
    writing: tokio::sync::RwLock<()>,
    uploads: Uploads,
    known: Mutex<Checksums>,
    /// What a HEAD tells of an object made of parts: header and value.
    sums: Mutex<HashMap<(String, String), Option<Sum>>>,
    rules: Mutex<Vec<Rule>>,
    struck: AtomicUsize,
    log: Mutex<Log>,
    changed: watch::Sender<()>,
}

/// The store with its guard, and without: for requests whose signature no longer fits.
#[derive(Clone)]
struct Stores {
    guarded: S3Service,
    open: S3Service,
}

#[derive(Debug, Default)]
struct Log {
    seen: Vec<Seen>,
    in_work: HashMap<Operation, usize>,
    most_in_work: HashMap<Operation, usize>,
    answered: HashMap<Operation, usize>,
}

impl Layer {
    pub fn new(root: &Path, auth: (&'static str, &'static str)) -> Arc<Self> {
        let (rules, log, changed) = (Mutex::default(), Mutex::default(), watch::Sender::new(()));
        let struck = AtomicUsize::new(0);
        let (writing, uploads) = (tokio::sync::RwLock::default(), Uploads::new(root));
        let (known, sums) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            root: root.to_owned(),
            auth,
            writing,
            uploads,
            known,
            sums,
            rules,
            struck,
            log,
            changed,
        })
    }

    pub fn inject(&self, rule: Rule) {
        self.rules.lock().unwrap().push(rule);
    }

    pub fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    pub fn struck(&self) -> usize {
        self.struck.load(Ordering::Relaxed)
    }

    pub fn know(&self, checksums: Checksums) {
        *self.known.lock().unwrap() = checksums;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    pub fn most_at_once(&self, operation: Operation) -> usize {
        self.log.lock().unwrap().most_in_work.get(&operation).copied().unwrap_or_default()
    }

    pub fn answered(&self, operation: Operation) -> usize {
        self.log.lock().unwrap().answered.get(&operation).copied().unwrap_or_default()
    }

    pub async fn wait(&self, reached: impl Fn(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        let waiting = changes.wait_for(|()| reached(self));
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it should have happened by now")
            .expect("the server runs");
    }

    pub async fn serve(self: Arc<Self>, listener: std::net::TcpListener) {
        let builder = || S3ServiceBuilder::new(s3s_fs::FileSystem::new(&self.root).expect("a root"));
        let mut guarded = builder();
        guarded.set_auth(SimpleAuth::from_single(self.auth.0, self.auth.1));
        let stores = Stores { guarded: guarded.build(), open: builder().build() };
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let (layer, stores) = (Arc::clone(&self), stores.clone());
            let service = hyper::service::service_fn(move |request| {
                let (layer, stores) = (Arc::clone(&layer), stores.clone());
                async move { layer.handle(request, &stores).await }
            });
            // A broken connection is what half of these tests are about.
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    }

    async fn handle(
        &self,
        mut request: Request<Incoming>,
        stores: &Stores,
    ) -> Result<Response<Body>, BoxError> {
        let store = &stores.guarded;
        let operation = classify(&request);
        let uri = request.uri().to_string();
        let _in_work = InWork::new(self, operation);
        self.note(|log| {
            log.seen.push(Seen { operation, uri: uri.clone(), headers: request.headers().clone() });
        });
        let fault = self.rules.lock().unwrap().iter_mut().find_map(|rule| rule.strike(operation, &uri));
        self.struck.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
        let fault = match fault {
            Some(Fault::HoldThen(gate, fault)) => {
                gate.acquire().await?.forget();
                Some(*fault)
            }
            fault => fault,
        };
        let answer = match fault {
            None => self.answer(operation, request.map(Body::from), store).await,
            Some(Fault::Refuse(status, code)) => {
                // Read to its end, so that the client reads the answer instead of failing to write.
                request.into_body().collect().await?;
                Ok(refusal(status, code))
            }
            Some(Fault::RefuseInside200(code)) => Ok(refusal(200, code)),
            Some(Fault::Pretend) => {
                Ok(Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty())?)
            }
            Some(Fault::Reset) => Err("reset".into()),
            Some(Fault::RefuseAfter(status, code)) => {
                self.answer(operation, request.map(Body::from), store).await?.into_body().collect().await?;
                Ok(refusal(status, code))
            }
            Some(Fault::ResetAfter) => {
                self.answer(operation, request.map(Body::from), store).await?.into_body().collect().await?;
                Err("reset".into())
            }
            Some(Fault::Cut(bytes)) => {
                cut(self.answer(operation, request.map(Body::from), store).await?, bytes).await
            }
            Some(Fault::Shorten(bytes)) => {
                shorten(self.answer(operation, request.map(Body::from), store).await?, bytes).await
            }
            Some(Fault::CorruptRequest) => {
                let (head, body) = request.into_parts();
                let body = flipped(&body.collect().await?.to_bytes(), usize::MAX);
                self.answer(operation, Request::from_parts(head, Body::from(body)), store).await
            }
            Some(Fault::CorruptAnswer(at)) => {
                let (head, body) = self.answer(operation, request.map(Body::from), store).await?.into_parts();
                Ok(Response::from_parts(head, Body::from(flipped(&body.collect().await?.to_bytes(), at))))
            }
            Some(Fault::Drip(bytes, pause)) => {
                drip(self.answer(operation, request.map(Body::from), store).await?, bytes, pause).await
            }
            Some(Fault::Delay(time)) => {
                let answer = self.answer(operation, request.map(Body::from), store).await;
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::Unconditional) => {
                for name in ["if-match", "if-none-match", "authorization"] {
                    request.headers_mut().remove(name);
                }
                self.answer(operation, request.map(Body::from), &stores.open).await
            }
            Some(Fault::Tell(name, value)) => {
                let mut answer = self.answer(operation, request.map(Body::from), store).await?;
                answer.headers_mut().insert(name, value.parse()?);
                Ok(answer)
            }
            Some(Fault::HoldAfter(gate)) => {
                let answer = self.answer(operation, request.map(Body::from), store).await;
                gate.acquire().await?.forget();
                answer
            }
            Some(Fault::Hold(gate) | Fault::HoldThen(gate, _)) => {
                gate.acquire().await?.forget();
                self.answer(operation, request.map(Body::from), store).await
            }
        };
        self.note(|log| *log.answered.entry(operation).or_default() += 1);
        answer
    }

    /// The store's answer, or the one it should have given.
    async fn answer(
        &self,
        operation: Operation,
        request: Request<Body>,
        store: &S3Service,
    ) -> Result<Response<Body>, BoxError> {
        let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
        if !self.root.join(bucket).is_dir() {
            return Ok(refusal(404, "NoSuchBucket"));
        }
        if header(&request, "x-amz-expected-bucket-owner").is_some_and(|owner| owner != OWNER) {
            request.into_body().collect().await?;
            return Ok(refusal(403, "AccessDenied"));
        }
        if operation == Operation::ListUploads {
            return Ok(self.uploads.list(bucket, &request));
        }
        let place = (bucket.to_owned(), object_key(&request));
        let upload = query(&request, "uploadId");
        if let Some(id) = &upload
            && !self.uploads.is_open(id)
        {
            return Ok(refusal(404, "NoSuchUpload"));
        }
        let promised =
            header(&request, "x-amz-mp-object-size").filter(|_| operation == Operation::CompleteUpload);
        if promised.is_some_and(|size| {
            size != self.uploads.bytes_of_parts(upload.as_deref().unwrap_or_default()).to_string()
        }) {
            return Ok(refusal(400, "InvalidRequest"));
        }
        let condition = header(&request, "if-match");
        let writes =
            [Operation::PutObject, Operation::CopyObject, Operation::CompleteUpload, Operation::DeleteObject]
                .contains(&operation);
        let _writing = if writes { Some(self.writing.write().await) } else { None };
        // `s3s-fs` puts an object and what it says of it into two files; a store shows both or none.
        let reads = [Operation::GetObject, Operation::HeadObject].contains(&operation);
        let _reading = if reads { Some(self.writing.read().await) } else { None };
        if let (Operation::DeleteObject, Some(etag)) = (operation, &condition) {
            match std::fs::read(self.root.join(&place.0).join(&place.1)) {
                // That of an object of parts is no hash of its bytes.
                Ok(bytes) if *etag == md5_etag(&bytes) || etag.contains('-') => {}
                Ok(_) => return Ok(refusal(412, "PreconditionFailed")),
                Err(_) => return Ok(refusal(404, "NoSuchKey")),
            }
        }
        let known = *self.known.lock().unwrap();
        let asked = header(&request, "x-amz-checksum-algorithm");
        let sent = ["x-amz-checksum-crc32", CRC64].map(|name| (name, header(&request, name)));
        let is_new = asked.as_deref() == Some("CRC64NVME") || sent[1].1.is_some();
        if is_new && known == Checksums::Refused {
            request.into_body().collect().await?;
            return Ok(refusal(400, "InvalidRequest"));
        }
        let sent = sent.into_iter().find_map(|(name, sum)| Some((name, sum?)));
        let sent = sent.filter(|(name, _)| known != Checksums::Ignored || *name != CRC64);
        let whole = if operation == Operation::CompleteUpload {
            self.uploads.parts(&upload.unwrap_or_default())
        } else {
            Vec::new()
        };
        if let (Operation::CompleteUpload, Some((_, promised))) = (operation, &sent)
            && *promised != crc64(&whole.concat())
        {
            return Ok(refusal(400, "BadDigest"));
        }
        let request = match (&sent, operation) {
            (Some((name, promised)), Operation::UploadPart | Operation::PutObject) => {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                if *promised != if *name == CRC64 { crc64(&body) } else { crc32(&body) } {
                    return Ok(refusal(400, "BadDigest"));
                }
                Request::from_parts(head, Body::from(body))
            }
            _ => request.map(Body::from),
        };
        let copied = header(&request, "x-amz-copy-source").and_then(|source| {
            source.split_once('/').map(|(bucket, key)| (bucket.to_owned(), key.to_owned()))
        });
        let mut answer = store.call(request).await.map_err(|error| format!("{error:?}"))?;
        if answer.status().is_success() {
            self.sum(operation, &place, &whole, known, sent, asked, &mut answer);
            if let (Operation::CopyObject, Some(source)) = (operation, copied) {
                let mut sums = self.sums.lock().unwrap();
                let copied = sums.get(&source).cloned();
                copied.map(|sum| sums.insert(place.clone(), sum));
            }
        }
        if operation == Operation::CreateUpload && answer.status().is_success() {
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            let id = between(&String::from_utf8_lossy(&body), "<UploadId>", "</UploadId>").to_owned();
            self.uploads.add(place.0, place.1, id);
            return Ok(Response::from_parts(head, Body::from(body)));
        }
        let reads = operation == Operation::GetObject;
        if reads
            && condition
                .is_some_and(|etag| answer.headers().get("etag").is_some_and(|found| found != etag.as_str()))
        {
            return Ok(refusal(412, "PreconditionFailed"));
        }
        Ok(answer)
    }

    /// What a store that keeps checksums does with those of a request that it has carried out.
    #[allow(clippy::too_many_arguments, reason = "all there is to know")]
    fn sum(
        &self,
        operation: Operation,
        place: &(String, String),
        parts: &[Vec<u8>],
        known: Checksums,
        sent: Option<(&'static str, String)>,
        asked: Option<String>,
        answer: &mut Response<Body>,
    ) {
        let mut tell = |name: &'static str, value: &str| {
            answer.headers_mut().insert(name, value.parse().expect("a header"));
        };
        match operation {
            Operation::CreateUpload if known == Checksums::Known => {
                if let Some(asked) = asked {
                    tell(
                        "x-amz-checksum-type",
                        if asked == "CRC64NVME" { "FULL_OBJECT" } else { "COMPOSITE" },
                    );
                    tell("x-amz-checksum-algorithm", &asked);
                }
            }
            Operation::UploadPart => {
                if let Some((name, sum)) = sent {
                    tell(name, &sum);
                }
            }
            Operation::CompleteUpload => {
                let sums: Vec<u8> = parts.iter().flat_map(|part| crc32_of(part).to_be_bytes()).collect();
                let composite = format!("{}-{}", crc32(&sums), parts.len());
                let kept = match known {
                    Checksums::Known => sent,
                    Checksums::Refused => Some(("x-amz-checksum-crc32", composite)),
                    Checksums::Ignored => None,
                };
                self.sums.lock().unwrap().insert(place.clone(), kept);
            }
            Operation::PutObject if known == Checksums::Ignored => {
                self.sums.lock().unwrap().insert(place.clone(), None);
            }
            Operation::PutObject | Operation::DeleteObject => {
                self.sums.lock().unwrap().remove(place);
            }
            Operation::HeadObject | Operation::GetObject => {
                if let Some(kept) = self.sums.lock().unwrap().get(place) {
                    for name in ["x-amz-checksum-crc32", CRC64] {
                        answer.headers_mut().remove(name);
                    }
                    if let (Some((name, sum)), Operation::HeadObject) = (kept, operation) {
                        answer.headers_mut().insert(*name, sum.parse().expect("a header"));
                    }
                }
            }
            _ => {}
        }
    }

    fn note(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.log.lock().unwrap());
        self.changed.send_replace(());
    }
}

/// Counts a request as long as it is in work, also one whose client goes away.
struct InWork<'a>(&'a Layer, Operation);

impl<'a> InWork<'a> {
    fn new(layer: &'a Layer, operation: Operation) -> Self {
        layer.note(|log| {
            let in_work = log.in_work.entry(operation).or_default();
            *in_work += 1;
            let most = log.most_in_work.entry(operation).or_default();
            *most = (*most).max(*in_work);
        });
        Self(layer, operation)
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.note(|log| *log.in_work.entry(self.1).or_default() -= 1);
    }
}
