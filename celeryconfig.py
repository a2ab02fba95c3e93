"""The Celery settings of every process: broker, queues, routes, acknowledgement, limits, beat."""

from kombu import Queue

from models.task_messages import COMPARE, DEFAULT_QUEUE, FORGET_SIGNALS, FRAUD_BRAKE, QUEUE_OF_TASK, REMIND, SWEEP
from worker.settings import load_settings

_settings = load_settings().process
_is_amqp = _settings.celery_broker_url.startswith("amqp")
_prefix = _settings.celery_queue_prefix

broker_url = _settings.celery_broker_url
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
broker_heartbeat = 30

_QUEUES = tuple(dict.fromkeys(QUEUE_OF_TASK.values()))
# Quorum queues survive the loss of a broker node. The delivery limit stops a message that crashes every worker.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 50}
task_queues = tuple(
    Queue(_prefix + name, routing_key=_prefix + name, queue_arguments=_QUORUM if _is_amqp else None) for name in _QUEUES
)
# The worker's banner shows every queue with the exchange `upkeep(direct)`: the queues name no exchange and get the
# default one, which takes the default queue's name. The routing key, each queue's own name, separates them.
task_default_queue = _prefix + DEFAULT_QUEUE
# Direct exchanges only: after a flush, Redis silently drops messages to any other type.
task_default_exchange_type = "direct"
task_routes = {task: {"queue": _prefix + queue} for task, queue in QUEUE_OF_TASK.items()}

# Without time-outs a frozen broker blocks its callers for ever. The visibility time-out is longer than any task:
# after it Redis delivers an unacknowledged message again.
broker_transport_options = (
    {"confirm_publish": True, "read_timeout": 5, "write_timeout": 5, "connect_timeout": 2}
    if _is_amqp
    else {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "visibility_timeout": 300,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 15,
    }
)
task_publish_retry_policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}

# A message only names a row, so it may be delivered twice and is acknowledged after the work.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
task_ignore_result = True
task_serializer = "json"
accept_content = ["json"]
event_serializer = "json"
enable_utc = True

# Charges wait for providers, and threads keep hundreds of calls in flight in one process. A thread cannot be canceled
# from outside: a lost broker connection leaves it running, and leases and HTTP time-outs end it.
worker_pool = "threads"
worker_concurrency = _settings.worker_concurrency
worker_cancel_long_running_tasks_on_connection_loss = False
worker_soft_shutdown_timeout = 30
worker_enable_soft_shutdown_on_idle = True
worker_eta_task_limit = 1000

# Flower and the `celery` command show every task; the arguments in its events are row ids.
worker_send_task_events = True
task_send_sent_event = True

beat_schedule = {
    # A sweep that the broker delivers later than this is dropped: newer ones have replaced it.
    "sweep": {"task": SWEEP, "schedule": 2.0, "options": {"expires": 10}},
    "compare": {"task": COMPARE, "schedule": 600.0, "options": {"expires": 600}},
    "forget": {"task": FORGET_SIGNALS, "schedule": 3600.0, "options": {"expires": 3600}},
    "fraud_brake": {"task": FRAUD_BRAKE, "schedule": 60.0, "options": {"expires": 60}},
    "remind": {"task": REMIND, "schedule": 60.0, "options": {"expires": 60}},
}
beat_max_loop_interval = 5
beat_sync_every = 1
