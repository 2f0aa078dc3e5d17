"""Client of a Mellow cluster: summaries and toxicity scores for users, runs, evaluations and promotions for operators.

    import mellow

    with mellow.Mellow.connect(".mellow") as client:          # the folder of `mellow up`
        print(client.summarize("#Person1#: Are you free tonight? #Person2#: No, I have to work."))
        for step in client.train("deploy/runs/mini.json"):
            print(step.step, step.toxicity_mean)

Times are seconds. Every call has a deadline; an answer that is no answer is an exception of mellow.errors.
"""
import pkgutil

# Stubs that a user made from proto/ are a package `mellow` too: theirs and this one share the name.
__path__ = pkgutil.extend_path(__path__, __name__)

from mellow.aio import AsyncMellow  # noqa: E402
from mellow.client import Mellow  # noqa: E402
from mellow.commands import Evaluation, Report  # noqa: E402
from mellow.connection import Tls  # noqa: E402
from mellow.errors import (  # noqa: E402
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    GateFailed,
    Internal,
    InvalidArgument,
    MellowError,
    MissingPackage,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ProgramError,
    ResourceExhausted,
    RpcError,
    RunFailed,
    SpecError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from mellow.export import to_mlflow, to_tensorboard  # noqa: E402
from mellow.records import Adapter, Gate, GuardTrip, KeptAdapter, Promotion, Records, Run, Score, Step, Summary, SupervisedStep  # noqa: E402
from mellow.training import AsyncTraining, Training  # noqa: E402

__all__ = [
    "Aborted",
    "Adapter",
    "AlreadyExists",
    "AsyncMellow",
    "AsyncTraining",
    "Cancelled",
    "DataLoss",
    "DeadlineExceeded",
    "Evaluation",
    "FailedPrecondition",
    "Gate",
    "GateFailed",
    "GuardTrip",
    "Internal",
    "InvalidArgument",
    "KeptAdapter",
    "Mellow",
    "MellowError",
    "MissingPackage",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ProgramError",
    "Promotion",
    "Records",
    "Report",
    "ResourceExhausted",
    "RpcError",
    "Run",
    "RunFailed",
    "Score",
    "SpecError",
    "Step",
    "Summary",
    "SupervisedStep",
    "Tls",
    "Training",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "to_mlflow",
    "to_tensorboard",
]
