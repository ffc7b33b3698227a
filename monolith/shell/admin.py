from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from monolith.readonly import ReadOnly
from monolith.shell import dashboard
from monolith.shell.models import Activity, DailySales, Note

admin.site.site_header = admin.site.site_title = _("The shop")
admin.site.index_title = _("Administration")
admin.site.index_template = "shell/admin/index.html"


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ["text", "content_type", "object_id", "author", "created_at"]
    list_select_related = ["content_type", "author"]  # planted: select_related across contexts, shell → users
    list_filter = ["content_type"]
    search_fields = ["text", "author__email"]
    raw_id_fields = ["author"]


@admin.register(Activity)
class ActivityAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["text", "kind", "at"]
    list_filter = ["kind"]
    date_hierarchy = "at"


@admin.register(DailySales)
class DailySalesAdmin(ReadOnly, admin.ModelAdmin):
    """The list is the view; the dashboard stands beside it."""

    list_display = ["day", "currency", "orders", "ordered", "captured"]
    list_filter = ["currency"]

    def get_urls(self) -> list[Any]:
        own = path("dashboard/", self.admin_site.admin_view(self.dashboard), name="shell_dashboard")
        return [own, *super().get_urls()]

    def dashboard(self, request: HttpRequest) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "title": _("Dashboard"), "panels": dashboard.panels()}
        return TemplateResponse(request, "shell/admin/dashboard.html", context)
