"""Made-up texts about three kinds of problems, few enough to train on in a second."""

import random

_PARTS = {
    "Дороги": ("яма", "асфальт разбит", "дорога после дождя", "тротуар провалился", "колёса бьём об выбоину"),
    "Вода": ("нет горячей воды", "из крана ржавая вода", "слабый напор воды", "прорвало трубу", "воду отключили"),
    "Мусор": ("мусор не вывозят", "баки переполнены", "свалка во дворе", "пакеты летают", "контейнер сломан"),
}
_PLACES = ("на Ленина", "у школы", "возле рынка", "во дворе", "в посёлке", "за больницей")
_ENDS = ("когда уберут?", "примите меры", "помогите пожалуйста", "сколько можно!", "третий день", "")


def rows(count: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """Return made-up texts and their labels; one text in twelve is about two problems."""
    chance = random.Random(seed)
    texts, labels = [], []
    for number in range(count):
        label = chance.choice(sorted(_PARTS))
        words = [chance.choice(_PARTS[label]), chance.choice(_PLACES), chance.choice(_ENDS)]
        if number % 12 == 0:
            words.insert(1, chance.choice(_PARTS[chance.choice(sorted(_PARTS))]))
        texts.append(f"{' '.join(words)} {'очень ' * chance.randint(0, 3)}№{seed}-{number}")
        labels.append(label)
    return texts, labels
