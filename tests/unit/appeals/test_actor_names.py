"""References to actors: people, clients and partners by name, the system and a page's staff without an id."""

from uuid import uuid4

from services.appeals.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.assignees.directory import CENTRE_WORK_ROLES, STAFF_ROLES, ActorNames, Staff
from shared.auth.rights import Right, Role


def test_every_kind_of_actor_has_a_reference() -> None:
    person, client, partner, stranger = uuid4(), uuid4(), uuid4(), uuid4()
    names = ActorNames({person: "Дарима Бальжиева"}, {client: "Система ПОС"}, {partner: "Портал ЕДДС"})
    actors = (str(person), str(client), str(partner), str(stranger), SYSTEM_ACTOR)
    found = {actor: names.ref(actor) for actor in actors}
    assert [(one.id, one.name, one.kind) for one in found.values()] == [
        (person, "Дарима Бальжиева", "person"),
        (client, "Система ПОС", "client"),
        (partner, "Портал ЕДДС", "partner"),
        (stranger, "Неизвестный сотрудник", "person"),
        (None, "Система", "system"),
    ]
    assert names.ref(NETWORK_ACTOR).kind == "network"
    assert names.ref(person) == found[str(person)]


def test_staff_work_only_on_appeals_of_their_own_organisation() -> None:
    own, other = uuid4(), uuid4()
    executor = Staff(uuid4(), Role.EXECUTOR, own, include_subordinates=True)
    assert executor.may_work_for(own)
    assert not executor.may_work_for(other)
    assert not executor.may_work_for(None)
    moderator = Staff(uuid4(), Role.MODERATOR, None, include_subordinates=False)
    assert moderator.may_work_for(None)
    assert not moderator.may_work_for(own)
    assert not Staff(uuid4(), Role.HEAD, None, include_subordinates=False).may_work_for(None)
    assert {Role.EXECUTOR, Role.MANAGER, Role.APPROVER} == STAFF_ROLES
    assert {Role.MODERATOR} == CENTRE_WORK_ROLES


def test_right_covers_subordinates_only_with_include_subordinates() -> None:
    top, below = uuid4(), uuid4()
    lineage = [top, below]
    near = Staff(uuid4(), Role.EXECUTOR, top, include_subordinates=False)
    far = Staff(uuid4(), Role.EXECUTOR, top, include_subordinates=True)
    assert not near.has_right(Right.APPEALS_READ, below, lineage)
    assert far.has_right(Right.APPEALS_READ, below, lineage)
    assert not far.has_right(Right.APPEALS_READ, None, [])
    assert not far.has_right(Right.APPEALS_TRIAGE, top, [top])
    assert Staff(uuid4(), Role.HEAD, None, include_subordinates=False).has_right(Right.APPEALS_READ, below, [])
