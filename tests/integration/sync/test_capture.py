from tests.integration.sync.bank.models import Account


def test_smoke(estate):
    Account.objects.using("source").create(handle="a")
    assert estate.pointers()
    estate.relay()
    estate.assert_equal()
    assert estate.table("bank.Account", "destination")
