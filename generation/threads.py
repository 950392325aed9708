"""Forum threads: what they are, how they lie in JSON, and how a model reads them as text.

The JSON is the form of the Flashback-GPT files (`forumTitle`, `threadTitle`, `posts`, `post`). The text
form is the one that those models were trained on:

    forum title
    thread title
    (blank line)
    user:
    Citat: other user
    <tab>the words that are quoted
    the user's own words
    (blank line)

That form has no escape of its own, so a line of text that would parse as structure gets a leading U+2060
(word joiner, which nobody sees) on the way out, and loses it on the way in: a blank line, a line that
begins with a tab, with `Citat: ` or with U+2060 itself, and a first line of a post that ends with a colon.
A text that follows another text begins with U+2060 too; where its first line needed one anyway, with U+2060
U+2063. A user whose name is the word for unknown users, or begins with U+2060, gets one as well. A line
break in a user name or title has no escape: such a thread is refused at the entrance. Everything else is
carried exactly, both ways.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_QUOTE_DEPTH = 32
_ITEM_FORMS = '{"type": "text", "text"} or {"type": "quote", "username", "post"}'
MARK = "\u2060"
SEPARATOR = "\u2063"


class ThreadFault(ValueError):
    """What is wrong with a thread, where in it, and what to do; written for the person who has the file."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words that the poster wrote; may be of many lines, or of none."""

    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What the poster quotes from somebody; the user name is None where nobody knows it."""

    username: str | None
    items: tuple[Item, ...]


Item = Text | Quote


@dataclass(frozen=True, slots=True)
class Post:
    """What one user wrote at one time; the user name is None where nobody knows it."""

    username: str | None
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation on a forum. The forum's title is its topic; the id is the source's own, if any."""

    forum_title: str
    thread_title: str
    posts: tuple[Post, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """The words of the text form in one language."""

    quote: str
    unknown_user: str

    @property
    def quote_start(self) -> str:
        return f"{self.quote}: "


WORDS = {"sv": Words("Citat", "Okänd användare"), "en": Words("Quote", "Unknown user")}


def words_for(language: str) -> Words:
    """The words of a language (en-GB is en); Swedish ones where we have none: the text form began in Swedish."""
    return WORDS.get(language.partition("-")[0], WORDS["sv"])


# --- cleaning

_UNCLEAN = re.compile("[\0\r\ud800-\udfff]")
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> tuple[str, int]:
    """The text as we keep it, and how many of its characters had to be replaced.

    NUL and lone surrogates, which no database can store, become U+FFFD; line breaks become newlines; the rest
    stays as written.
    """
    if _UNCLEAN.search(text) is None:
        return text, 0
    return _NO_CHARACTER.subn("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


# --- from JSON


def thread_from_json(obj: object) -> tuple[Thread, int]:
    """The thread in an object that JSON gave, and how many characters were replaced in it by `clean`."""
    if not isinstance(obj, dict):
        raise ThreadFault('not a JSON object: write each thread as {"forumTitle", "threadTitle", "posts"}')
    entrance = _Entrance()
    thread = Thread(
        forum_title=entrance.title(obj, "forumTitle"),
        thread_title=entrance.title(obj, "threadTitle"),
        posts=entrance.posts(obj.get("posts")),
        id=entrance.id(obj.get("id")),
    )
    return thread, entrance.replaced


def items_from_json(obj: object) -> tuple[Item, ...]:
    """The items of one post or reply; places in faults begin with "item 1"."""
    return _Entrance().items(obj, ())


@dataclass(slots=True)
class _Entrance:
    """Checks and cleans everything on its way in; keeps the count of replaced characters."""

    replaced: int = 0

    def cleaned(self, text: str) -> str:
        text, replaced = clean(text)
        self.replaced += replaced
        return text

    def title(self, obj: dict[str, Any], key: str) -> str:
        value = obj.get(key)
        if not isinstance(value, str):
            raise ThreadFault(f"{_missing(obj, key)}: give it as a string, which may be empty")
        return _one_line(self.cleaned(value), f"'{key}'")

    def id(self, value: object) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise ThreadFault("'id' is not a string of at least one character: give one, or leave 'id' out")
        return _one_line(self.cleaned(value), "'id'")

    def posts(self, value: object) -> tuple[Post, ...]:
        if not isinstance(value, list) or not value:
            raise ThreadFault("no posts: 'posts' has to be a list of at least one post")
        return tuple(self.post(post, number) for number, post in enumerate(value, 1))

    def post(self, value: object, number: int) -> Post:
        if not isinstance(value, dict):
            raise ThreadFault(f'post {number}: not an object: write it as {{"username", "post"}}')
        if "post" not in value:
            raise ThreadFault(f"post {number}: no 'post': give the list of its items, which may be empty")
        return Post(self.username(value, (number,)), self.items(value["post"], (number,), post=True))

    def username(self, obj: dict[str, Any], path: tuple[int, ...], *, post: bool = True) -> str | None:
        value = obj.get("username")
        if value is None:
            return None
        if not isinstance(value, str):
            raise _fault(path, post, "'username' is not a string: give the name, or null where it is unknown")
        value = self.cleaned(value)
        if "\n" in value:
            raise _fault(path, post, "'username' has a line break: give it on one line")
        return value

    def items(self, value: object, path: tuple[int, ...], *, post: bool = False) -> tuple[Item, ...]:
        if not isinstance(value, list):
            raise _fault(path, post, "'post' is not a list: give a list of items of type 'text' or 'quote'")
        return tuple(self.item(item, (*path, number), post) for number, item in enumerate(value, 1))

    def item(self, value: object, path: tuple[int, ...], post: bool) -> Item:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "text" and isinstance(value, dict):
            text = value.get("text")
            if isinstance(text, str):
                return Text(self.cleaned(text))
            raise _fault(path, post, f"{_missing(value, 'text')}: give a string, which may be empty")
        if kind == "quote" and isinstance(value, dict):
            return self.quote(value, path, post)
        raise _fault(path, post, f"not a text or a quote: write it as {_ITEM_FORMS}")

    def quote(self, value: dict[str, Any], path: tuple[int, ...], post: bool) -> Quote:
        # The way we came is as long as the quotes are deep: what is deeper is never entered, however deep.
        if len(path) - post > MAX_QUOTE_DEPTH:
            too_deep = f"quotes nest deeper than {MAX_QUOTE_DEPTH}: leave out the innermost"
            raise _fault(path[: post + 1], post, too_deep)
        if "post" not in value:
            raise _fault(path, post, "no 'post' in the quote: give the list of its items, which may be empty")
        return Quote(self.username(value, path, post=post), self.items(value["post"], path, post=post))


def _missing(obj: dict[str, Any], key: str) -> str:
    return f"'{key}' is not a string" if key in obj else f"no '{key}'"


def _fault(path: tuple[int, ...], post: bool, message: str) -> ThreadFault:
    kinds = ["post" if post else "item", *["item"] * len(path)]
    place = ", ".join(f"{kind} {number}" for kind, number in zip(kinds, path, strict=False))
    return ThreadFault(f"{place}: {message}" if place else message)


def _one_line(value: str, what: str) -> str:
    if "\n" in value:
        raise ThreadFault(f"{what} has a line break: give it on one line")
    return value


# --- to JSON


def items_to_json(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": item.text}
        if isinstance(item, Text)
        else {"type": "quote", "username": item.username, "post": items_to_json(item.items)}
        for item in items
    ]


def thread_to_json(thread: Thread) -> dict[str, Any]:
    """The thread as its file would have it; `id` only where there is one."""
    obj: dict[str, Any] = {} if thread.id is None else {"id": thread.id}
    obj["forumTitle"] = thread.forum_title
    obj["threadTitle"] = thread.thread_title
    obj["posts"] = [{"username": post.username, "post": items_to_json(post.items)} for post in thread.posts]
    return obj


# Made once: json.dumps with settings makes a new encoder at every call.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)


def canonical_json(thread: Thread) -> str:
    """The one spelling of what a thread says: sorted keys, no spaces, no id."""
    obj = thread_to_json(thread)
    obj.pop("id", None)
    return _CANONICAL.encode(obj)


def content_hash(thread: Thread) -> str:
    """Equal for two threads exactly when they say the same; the identity of a thread without an id."""
    return hashlib.sha256(canonical_json(thread).encode()).hexdigest()


# --- to text


def thread_to_text(thread: Thread, words: Words) -> str:
    """The thread as a model reads it, the blank line after its last post included; the id is not in it."""
    titles = [
        _one_line(thread.forum_title, "the forum title"),
        _one_line(thread.thread_title, "the thread title"),
    ]
    return "\n".join(titles) + "\n\n" + "".join(_post_out(post, words) for post in thread.posts)


def items_to_text(items: Sequence[Item], words: Words) -> str:
    """One post's lines, without the user's and without a newline at the end."""
    return "\n".join(_lines_out(items, words))


def prompt_text(thread: Thread, words: Words, by_user: str | None = None) -> str:
    """The thread as text, ending where a model goes on with a post by that user, or by one that it names."""
    text = thread_to_text(thread, words)
    return text if by_user is None else f"{text}{_name_out(by_user, words)}:\n"


def _post_out(post: Post, words: Words) -> str:
    lines = [f"{_name_out(post.username, words)}:", *_lines_out(post.items, words)]
    return "\n".join(lines) + "\n\n"


def _name_out(username: str | None, words: Words) -> str:
    if username is None:
        return words.unknown_user
    _one_line(username, "the user name")
    if username == words.unknown_user or username.startswith(MARK):
        return MARK + username
    return username


def _lines_out(items: Sequence[Item], words: Words, depth: int = 0) -> Iterator[str]:
    indent = "\t" * depth
    after_text = False
    for number, item in enumerate(items):
        if isinstance(item, Quote):
            yield f"{indent}{words.quote_start}{_name_out(item.username, words)}"
            yield from _lines_out(item.items, words, depth + 1)
        else:
            first, *rest = item.text.split("\n")
            yield indent + _first_line_out(
                first, words, after_text=after_text, of_post=depth == 0 and number == 0
            )
            yield from (f"{indent}{_line_out(line, words)}" for line in rest)
        after_text = isinstance(item, Text)


def _line_out(line: str, words: Words) -> str:
    return MARK + line if _looks_like_structure(line, words) else line


def _first_line_out(line: str, words: Words, *, after_text: bool, of_post: bool) -> str:
    if after_text:
        # The mark before a line that needs none says "a new text"; before one that needs it, nothing new.
        unclear = _looks_like_structure(line, words) or line.startswith(SEPARATOR)
        return f"{MARK}{SEPARATOR}{line}" if unclear else f"{MARK}{line}"
    if of_post and line.endswith(":") and not line.startswith(MARK):
        return MARK + line
    return _line_out(line, words)


def _looks_like_structure(line: str, words: Words) -> bool:
    return not line or line[0] in ("\t", MARK) or line.startswith(words.quote_start)


# --- from text


def thread_from_text(text: str, words: Words) -> Thread:
    """The thread in a text that `thread_to_text` wrote, or somebody who knows the form."""
    lines = clean(text)[0].split("\n")
    if len(lines) < 3 or lines[2]:
        raise ThreadFault("line 3: not blank: begin with the forum title, the thread title and a blank line")
    posts: list[Post] = []
    start = 3
    while start < len(lines):
        if not lines[start]:
            start += 1
            continue
        end = next((number for number in range(start, len(lines)) if not lines[number]), len(lines))
        posts.append(_post_in(lines[start:end], words, start + 1))
        start = end
    if not posts:
        raise ThreadFault(
            "no posts: after the titles and a blank line, begin each post with its user and a colon"
        )
    return Thread(lines[0], lines[1], tuple(posts))


def items_from_text(text: str, words: Words) -> tuple[Item, ...]:
    """The items of one post whose lines these are."""
    text, _ = clean(text)
    return _items_in(text.split("\n"), words, first_line=1) if text else ()


def reply_from_text(generated: str, words: Words, by_user: str | None) -> tuple[str | None, tuple[Item, ...]]:
    """Who wrote the next post and what, from how a model went on after `prompt_text`.

    The post ends at the first blank line. Whatever a model wrote, this gives something: without a user's
    line, the user is unknown; quotes deeper than we keep become text.
    """
    lines = clean(generated)[0].split("\n")
    user = by_user
    if by_user is None and lines[0].endswith(":"):
        user = _name_in(lines.pop(0)[:-1], words)
    body = lines[: lines.index("")] if "" in lines else lines
    return user, _items_in(body, words)


def _post_in(lines: list[str], words: Words, number: int) -> Post:
    if not lines[0].endswith(":"):
        raise ThreadFault(
            f"line {number}: a post has to begin with its user and a colon: write 'user:' before it"
        )
    return Post(_name_in(lines[0][:-1], words), _items_in(lines[1:], words, first_line=number + 1))


def _name_in(name: str, words: Words) -> str | None:
    return None if name == words.unknown_user else name.removeprefix(MARK)


@dataclass(slots=True)
class _Level:
    """The post, or a quote in it, while its lines are read."""

    username: str | None = None
    items: list[Item] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # of the text that is not yet at its end

    def read(self, line: str, words: Words) -> None:
        if not self.lines:
            self.lines = [line.removeprefix(MARK)]
        elif not line.startswith(MARK):
            self.lines.append(line)
        elif _looks_like_structure(line[1:], words):
            self.lines.append(line[1:])
        else:
            self.end_text()
            self.lines = [line[1:].removeprefix(SEPARATOR)]

    def end_text(self) -> None:
        if self.lines:
            self.items.append(Text("\n".join(self.lines)))
            self.lines = []

    def end(self) -> tuple[Item, ...]:
        self.end_text()
        return tuple(self.items)


def _items_in(lines: list[str], words: Words, first_line: int | None = None) -> tuple[Item, ...]:
    """The items in a post's lines. With the number of the first, quotes too deep are a fault; else, text."""
    levels = [_Level()]
    for number, indented in enumerate(lines):
        depth = min(len(indented) - len(indented.lstrip("\t")), len(levels) - 1)
        _leave(levels, depth)
        line = indented[depth:]
        if not line.startswith(words.quote_start) or (depth == MAX_QUOTE_DEPTH and first_line is None):
            levels[-1].read(line, words)
        elif depth == MAX_QUOTE_DEPTH:
            place = f"line {number + (first_line or 0)}"
            raise ThreadFault(f"{place}: quotes nest deeper than {MAX_QUOTE_DEPTH}: leave out the innermost")
        else:
            levels[-1].end_text()
            levels.append(_Level(_name_in(line.removeprefix(words.quote_start), words)))
    _leave(levels, 0)
    return levels[0].end()


def _leave(levels: list[_Level], depth: int) -> None:
    while len(levels) - 1 > depth:
        quote = levels.pop()
        levels[-1].items.append(Quote(quote.username, quote.end()))


# --- display


def plain_text(items: Sequence[Item]) -> str:
    """The post as one would write it in a mail, quotes set in with "> "; for lists, never parsed back."""
    return "\n".join(_plain(item) for item in items)


def _plain(item: Item) -> str:
    if isinstance(item, Text):
        return item.text
    quoted = plain_text(item.items)
    lines = [*([f"{item.username}:"] if item.username else []), *(quoted.split("\n") if quoted else [])]
    return "\n".join(f"> {line}" for line in lines)


def word_count(items: Sequence[Item]) -> int:
    """How many words the poster wrote; what is quoted was somebody else's."""
    return sum(len(item.text.split()) for item in items if isinstance(item, Text))
