"""Coming in: open links, personal links, consent, and the words of both languages."""

import ast
import gettext
import io
import json
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from annotations import links
from annotations.models import Annotator, Participation
from tests import making

LOCALE = Path(__file__).parents[2] / "annotations" / "locale"


def join(client, campaign, **more):
    return client.post(f"/join/{campaign.slug}/", {"answer": "yes", "language": "en"} | more)


# --- the open link


@pytest.mark.django_db
def test_landing_on_an_open_link_stores_nothing(client, campaign):
    page = client.get(f"/join/{campaign.slug}/")

    assert page.status_code == 200
    assert "Terms." in page.content.decode()
    assert not Participation.objects.exists()
    assert not client.session.items()


@pytest.mark.django_db
def test_taking_part_stores_consent_and_begins(client, campaign):
    page = join(client, campaign, language="sv")

    person = Participation.objects.get()
    assert (page.status_code, page.url) == (303, f"/rate/{campaign.slug}/")
    assert (person.status, person.language, person.consent_version) == ("active", "sv", "1")
    assert person.consented_at is not None
    assert client.get(page.url).status_code == 200


@pytest.mark.django_db
def test_declining_stores_nothing(client, campaign):
    page = join(client, campaign, answer="no")

    assert "Nothing was stored." in page.content.decode()
    assert not Annotator.objects.exists()


@pytest.mark.django_db
def test_instructions_come_before_the_first_item(client, make_campaign):
    campaign = make_campaign(instructions={"en": "# Look\n\n<b>closely</b> at **both**."})

    page = join(client, campaign)

    assert page.url == f"/rate/{campaign.slug}/instructions"
    html = client.get(page.url).content.decode()
    assert "<h2>Look</h2>" in html
    assert "&lt;b&gt;closely&lt;/b&gt; at <strong>both</strong>" in html


@pytest.mark.django_db
def test_pressing_twice_admits_one_person(campaign):
    browser = Client(enforce_csrf_checks=True)
    html = browser.get(f"/join/{campaign.slug}/").content.decode()
    csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', html)[1]
    cookie = browser.cookies["csrftoken"].value

    for _ in range(2):  # both presses leave before the first answer brings a session
        browser.cookies.clear()
        browser.cookies["csrftoken"] = cookie
        join(browser, campaign, csrfmiddlewaretoken=csrf)

    assert Participation.objects.count() == 1


@pytest.mark.django_db
def test_somebody_whose_part_was_taken_away_can_come_again(campaign):
    browser = Client()
    browser.get(f"/join/{campaign.slug}/")
    join(browser, campaign)
    Participation.objects.all().delete()

    page = join(browser, campaign)

    assert page.status_code == 303
    assert Participation.objects.count() == 1


@pytest.mark.django_db
def test_a_full_study_takes_nobody_more(make_campaign):
    campaign = make_campaign(max_annotators=1)
    join(Client(), campaign)

    page = join(Client(), campaign)

    assert (page.status_code, b"all the people it needs" in page.content) == (403, True)
    assert Participation.objects.count() == 1


@pytest.mark.django_db
def test_a_study_by_personal_links_cannot_be_joined(client, make_campaign):
    campaign = make_campaign(access="links")

    assert client.get(f"/join/{campaign.slug}/").status_code == 404
    assert join(client, campaign).status_code == 404


@pytest.mark.django_db
def test_the_front_page_lists_what_can_be_joined(client, make_campaign):
    make_campaign(name="Open to all")
    make_campaign(name="By letter only", access="links")

    html = client.get("/").content.decode()

    assert "Open to all" in html
    assert "By letter only" not in html
    assert "/admin/" in html
    assert "Logga in som forskare" in client.get("/", HTTP_ACCEPT_LANGUAGE="sv").content.decode()


# --- the personal link


@pytest.mark.django_db
def test_a_personal_link_only_lands_and_asks_for_consent_first(client, campaign):
    person = Participation.admit(campaign, Annotator.objects.create())

    page = client.get(links.path_for(person))
    assert "I take part" in page.content.decode()
    assert not client.session.items()

    client.post(links.path_for(person), {"answer": "yes", "language": "sv"})

    person.refresh_from_db()
    assert (person.status, person.language) == ("active", "sv")
    assert client.get(f"/rate/{campaign.slug}/").status_code == 200


@pytest.mark.django_db
def test_raising_the_version_revokes_link_and_session(client, campaign):
    person = making.participation(campaign)
    old = links.path_for(person)
    client.post(old)

    Participation.objects.filter(pk=person.pk).update(link_version=2)

    assert client.get(old).status_code == 404
    assert client.get(f"/rate/{campaign.slug}/").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    "token", ["1", "1-abc", "0-" + "0" * 40, "9" * 30 + "-" + "0" * 40, "%00", "1-" + "é" * 40]
)
def test_a_made_up_link_leads_nowhere(client, campaign, token):
    assert client.get(f"/me/{token}/").status_code == 404


@pytest.mark.django_db
def test_the_session_gets_a_new_key_when_somebody_sits_down(client, campaign):
    one, other = making.participation(campaign), making.participation(campaign)
    client.post(links.path_for(one))
    before = client.session.session_key

    client.post(links.path_for(other))

    assert client.session.session_key != before


@pytest.mark.django_db
def test_leaving_the_device_makes_room_for_another_person(client, campaign):
    join(client, campaign)

    client.post(f"/rate/{campaign.slug}/leave")

    assert client.get(f"/rate/{campaign.slug}/").status_code == 401
    join(client, campaign)
    assert Participation.objects.count() == 2


@pytest.mark.django_db
def test_the_address_of_leaving_leads_on_and_leaves_nobody(client, campaign):
    address = f"/rate/{campaign.slug}/leave"
    assert client.get(address).url == "/"
    join(client, campaign)

    page = client.get(address)

    assert (page.status_code, page.url) == (302, f"/rate/{campaign.slug}/")
    assert client.get(page.url).status_code == 200


@pytest.mark.django_db
def test_no_personal_page_is_kept_by_a_cache(client, campaign):
    person = making.participation(campaign)
    client.post(links.path_for(person))

    for address in ("/", links.path_for(person), f"/rate/{campaign.slug}/"):
        assert client.get(address).headers["Cache-Control"] == "no-store, private"


# --- the command


@pytest.mark.django_db
def test_inviting_prints_links_that_work(client, campaign, settings):
    settings.SITE_URL = "https://replik.example"
    said = io.StringIO()

    call_command("invite_annotators", campaign.slug, "--count", "3", "--json", stdout=said)

    made = json.loads(said.getvalue())["links"]
    assert len(set(made)) == 3
    assert client.get(made[0].removeprefix("https://replik.example")).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "count", "said"),
    [("nowhere", 1, "no campaign"), ("", 0, "--count 1"), ("", 10**8, "at most 1,000"), ("", 5, "at most 2")],
)
def test_an_invitation_that_cannot_be_made_says_why(make_campaign, slug, count, said):
    campaign = make_campaign(max_annotators=2)
    out = io.StringIO()

    with pytest.raises(SystemExit) as left:
        call_command("invite_annotators", slug or campaign.slug, "--count", str(count), "--json", stdout=out)

    assert left.value.code == 1
    assert said in json.loads(out.getvalue())["error"]
    assert not Participation.objects.exists()


# --- words


def entries(source):
    """msgid -> msgstr of a .po file; plural forms as (msgid, index), as gettext's catalogue has them."""
    found, fields = {}, {}

    def take():
        if fields.get("msgid"):
            for name, value in fields.items():
                if name == "msgstr":
                    found[fields["msgid"]] = value
                elif name.startswith("msgstr["):
                    found[(fields["msgid"], int(name[7:-1]))] = value

    for line in [*source.splitlines(), 'msgid ""']:
        if match := re.match(r'(msgid_plural|msgid|msgstr(?:\[\d\])?) (".*")$', line):
            name, value = match[1], ast.literal_eval(match[2])
            if name == "msgid":
                take()
                fields.clear()
            fields[name] = value
        elif line.startswith('"'):
            fields[name] += ast.literal_eval(line)
    return found


def test_the_compiled_words_are_those_of_the_source():
    folder = LOCALE / "sv" / "LC_MESSAGES"
    source = entries((folder / "django.po").read_text(encoding="utf-8"))

    with (folder / "django.mo").open("rb") as file:
        compiled = dict(gettext.GNUTranslations(file)._catalog)

    compiled.pop("", None)
    assert compiled == source, "run msgfmt -o django.mo django.po in annotations/locale/sv/LC_MESSAGES"
    assert all(source.values())


def test_every_word_of_the_pages_is_translated():
    app = LOCALE.parent
    words = set()
    for file in [app / "display.py", *(app / "views").glob("*.py")]:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("_", "ngettext"):
                words.add(call.args[0].value)
    for file in (app / "templates").glob("*.html"):
        words |= set(re.findall(r'{% translate "([^"]+)"', file.read_text(encoding="utf-8")))
    for file in (app / "templates" / "replik").rglob("*.html"):
        words |= set(re.findall(r'{% translate "([^"]+)"', file.read_text(encoding="utf-8")))

    source = entries((LOCALE / "sv" / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8"))

    known = {key[0] if isinstance(key, tuple) else key for key in source}
    assert words
    assert not words - known


@pytest.mark.parametrize(
    ("english", "swedish"),
    [
        ("Two replies to this thread", "Två svar i tråden"),
        ("Save and continue", "Spara och fortsätt"),
        ("Why? (optional)", "Varför? (frivilligt)"),
        ("What you have answered is still here.", "Det du redan har svarat är kvar."),
        ("Draft saved", "Utkastet är sparat"),
        (
            "Open your personal link again; your draft is kept.",
            "Öppna din personliga länk igen, utkastet finns kvar.",
        ),
        ("Skip this one. Why?", "Hoppa över. Varför?"),
        ("I know this thread", "Jag känner igen tråden"),
        ("I take part", "Jag deltar"),
    ],
)
def test_the_words_are_those_of_the_guide(english, swedish):
    with translation.override("sv"):
        assert translation.gettext(english) == swedish
