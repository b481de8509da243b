"""OpenTelemetry's instrumentation of asyncio, exporting to memory, on asyncio and on ferrio."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import output_of

PROGRAM = """
import asyncio
import os
import threading
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "fetch,fail"
os.environ["OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE"] = "compute"

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
AsyncioInstrumentor().instrument()
tracer = trace.get_tracer("test")

async def fetch(number):
    await asyncio.sleep(0.01)
    with tracer.start_as_current_span(f"inner {number}"):
        await asyncio.sleep(0)

async def fail():
    raise ValueError

def compute():
    with tracer.start_as_current_span("in a thread"):
        pass

def later(done):
    with tracer.start_as_current_span("in a callback"):
        done.set_result(None)

async def main():
    loop = asyncio.get_running_loop()
    with tracer.start_as_current_span("request"):
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch(0))
        await asyncio.gather(fetch(1), fetch(2))
        await asyncio.wait_for(fetch(3), 5)
        async with asyncio.timeout(5):
            await asyncio.create_task(fetch(4))
        try:
            await asyncio.ensure_future(fail())
        except ValueError:
            pass
        await asyncio.to_thread(compute)
        done = loop.create_future()
        loop.call_later(0.001, later, done)
        await done

asyncio.run(main())
spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
for span in sorted(spans.values(), key=lambda span: span.name):
    parent = spans[span.parent.span_id].name if span.parent else None
    print(span.name, parent, span.status.status_code.name, sep=", ")
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            if metric.name == "asyncio.process.created":
                for point in metric.data.data_points:
                    print(point.attributes["name"], point.attributes["state"], point.value)
"""

SEEN = """\
asyncio coro-fail, request, ERROR
asyncio coro-fetch, request, UNSET
asyncio coro-fetch, request, UNSET
asyncio coro-fetch, request, UNSET
asyncio coro-fetch, request, UNSET
asyncio coro-fetch, request, UNSET
asyncio to_thread-compute, request, UNSET
in a callback, request, UNSET
in a thread, request, UNSET
inner 0, request, UNSET
inner 1, request, UNSET
inner 2, request, UNSET
inner 3, request, UNSET
inner 4, request, UNSET
request, None, UNSET
fetch finished 5
fail exception 1
compute finished 1
"""


@pytest.mark.parametrize("options", ["--loop=asyncio", "--loop=ferrio", "--loop-only"])
def test_spans_metrics_and_contexts(options: str, tmp_path: Path) -> None:
    assert output_of(tmp_path, PROGRAM, "-m", "ferrio", "run", options) == SEEN
