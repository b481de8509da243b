"""The same service on Django, with asynchronous views; and the two bridges to synchronous code.

Django's ORM blocks. Its asynchronous methods (`aget`, `acreate`, `async for`) are bridges to
threads, the same as `sync_to_async`, which takes any blocking function to a thread:

    thread_sensitive=True     one thread for all calls of a request: what the ORM needs
    thread_sensitive=False    any thread of a pool: for what is independent, like hashing

`async_to_sync` goes the other way: an ordinary view, which Django runs in a thread, calls a
coroutine. That runs on the server's own loop, not on a new one.

    GET /report       two blocking jobs side by side, called from an asynchronous view
    GET /offers/N     three questions side by side, asked from an ordinary view
    GET /threads      where each of these runs
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time

from asgiref.sync import async_to_sync, sync_to_async
from django.db import IntegrityError, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views import View
from tools import InvalidToolError, NewTool

#: What the suppliers of /offers take to answer, in seconds.
SUPPLIERS = {"north": 0.05, "south": 0.05, "west": 0.05}


class Tool(models.Model):
    """A row of the table that the other applications use, too."""

    name = models.TextField(unique=True)
    category = models.TextField()
    cents_a_day = models.IntegerField()

    class Meta:
        app_label = "web_apps"
        db_table = "tool"
        managed = False

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "category": self.category,
            "cents_a_day": self.cents_a_day,
            "id": self.pk,
        }


class Tools(View):
    """/tools"""

    async def get(self, request: HttpRequest) -> HttpResponse:
        found = Tool.objects.order_by("id")
        if category := request.GET.get("category"):
            found = found.filter(category=category)
        return JsonResponse([tool.as_dict() async for tool in found], safe=False)

    async def post(self, request: HttpRequest) -> HttpResponse:
        try:
            new = NewTool.parse(request.body)
        except InvalidToolError as error:
            return JsonResponse({"error": str(error)}, status=400)
        try:
            tool = await Tool.objects.acreate(
                name=new.name, category=new.category, cents_a_day=new.cents_a_day
            )
        except IntegrityError:
            return JsonResponse({"error": f"there is a tool named {new.name!r}"}, status=409)
        headers = {"Location": f"/tools/{tool.pk}"}
        return JsonResponse(tool.as_dict(), status=201, headers=headers)


class OneTool(View):
    """/tools/N"""

    async def get(self, request: HttpRequest, number: int) -> HttpResponse:
        try:
            tool = await Tool.objects.aget(pk=number)
        except Tool.DoesNotExist:
            return HttpResponse(status=404)
        return JsonResponse(tool.as_dict())

    async def delete(self, request: HttpRequest, number: int) -> HttpResponse:
        count, _ = await Tool.objects.filter(pk=number).adelete()
        return HttpResponse(status=204 if count else 404)


def tools_by_category() -> dict[str, int]:
    """Blocks: the ORM as everybody knows it."""
    rows = Tool.objects.values("category").annotate(tools=models.Count("id")).order_by("category")
    return {row["category"]: row["tools"] for row in rows}


def seal(text: str) -> str:
    """Blocks: slow on purpose, as hashes of passwords are. It gives up the GIL."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"library", 100_000).hex()


async def report(request: HttpRequest) -> HttpResponse:
    tools, sealed = await asyncio.gather(
        sync_to_async(tools_by_category)(),
        sync_to_async(seal, thread_sensitive=False)("report"),
    )
    return JsonResponse({"tools": tools, "seal": sealed})


async def ask(supplier: str, tool: str) -> int:
    """What a supplier, who is imagined here, wants for a tool, in cents."""
    await asyncio.sleep(SUPPLIERS[supplier])
    return 2000 + sum(map(ord, supplier + tool)) % 1000


async def ask_all(tool: str) -> dict[str, int]:
    prices = await asyncio.gather(*(ask(supplier, tool) for supplier in SUPPLIERS))
    return dict(zip(SUPPLIERS, prices, strict=True))


def offers(request: HttpRequest, number: int) -> HttpResponse:
    """An ordinary view: Django runs it in a thread, where the ORM may block."""
    tool = Tool.objects.filter(pk=number).first()
    if tool is None:
        return HttpResponse(status=404)
    start = time.perf_counter()
    prices = async_to_sync(ask_all)(tool.name)
    seconds = time.perf_counter() - start
    return JsonResponse({"tool": tool.name, "offers": prices, "seconds": round(seconds, 3)})


async def where_async() -> str:
    loop = type(asyncio.get_running_loop())
    return f"{threading.current_thread().name}, on {loop.__module__}.{loop.__qualname__}"


def where_sync() -> str:
    return threading.current_thread().name


def ask_where() -> str:
    return async_to_sync(where_async)()


async def threads(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "asynchronous view": await where_async(),
            "sync_to_async": await sync_to_async(where_sync)(),
            "sync_to_async, not sensitive": await sync_to_async(
                where_sync, thread_sensitive=False
            )(),
            "async_to_sync within": await sync_to_async(ask_where)(),
        }
    )


urlpatterns = [
    path("tools", Tools.as_view()),
    path("tools/<int:number>", OneTool.as_view()),
    path("report", report),
    path("offers/<int:number>", offers),
    path("threads", threads),
]
