################################################################################
#
# adieu
#
################################################################################

# What was tried and what was not stands in packages/README.md of adieu. Never
# built by Buildroot itself.
#
# There is no place for releases yet: put the archive of packages/source into
# dl/adieu/, under the name that Buildroot asks for. It has all crates in VENDOR.
ADIEU_VERSION = 0.1.0
ADIEU_SITE = https://example.org/adieu
ADIEU_LICENSE = MIT or Apache-2.0
ADIEU_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md

# Features of cargo, each an option of Config.in.
ADIEU_FEATURES = \
	config-file \
	auth \
	upload \
	cgi \
	status \
	doctor \
	listing \
	access-log \
	sandbox \
	no-lingclose \
	so-linger

ADIEU_CARGO_BUILD_OPTS = \
	--no-default-features \
	--features "$(strip $(foreach f,$(ADIEU_FEATURES),\
		$(if $(BR2_PACKAGE_ADIEU_$(call UPPERCASE,$(f))),$(f))))"

# One unit for the optimiser, whatever the other packages are.
ADIEU_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_LTO=fat \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1

define ADIEU_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 \
		$(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)/adieu \
		$(TARGET_DIR)/usr/sbin/adieu
	$(INSTALL) -D -m 0644 $(ADIEU_PKGDIR)/adieu.toml \
		$(TARGET_DIR)/etc/adieu/adieu.toml
	$(INSTALL) -d -m 0755 $(TARGET_DIR)/var/www
endef

ifeq ($(BR2_PACKAGE_ADIEU_WWW),y)
define ADIEU_INSTALL_WWW
	$(INSTALL) -m 0644 $(@D)/conf/www/* $(TARGET_DIR)/var/www/
endef
ADIEU_POST_INSTALL_TARGET_HOOKS += ADIEU_INSTALL_WWW
endif

define ADIEU_USERS
	adieu -1 adieu -1 * - - - adieu HTTP server
endef

define ADIEU_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/conf/init/systemd/adieu.service \
		$(TARGET_DIR)/usr/lib/systemd/system/adieu.service
	$(INSTALL) -D -m 0644 $(@D)/conf/init/systemd/adieu.socket \
		$(TARGET_DIR)/usr/lib/systemd/system/adieu.socket
endef

define ADIEU_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/conf/init/sysv/adieu \
		$(TARGET_DIR)/etc/init.d/S50adieu
endef

define ADIEU_INSTALL_INIT_OPENRC
	$(INSTALL) -D -m 0755 $(@D)/conf/init/openrc/adieu.initd \
		$(TARGET_DIR)/etc/init.d/adieu
	$(INSTALL) -D -m 0644 $(@D)/conf/init/openrc/adieu.confd \
		$(TARGET_DIR)/etc/conf.d/adieu
endef

$(eval $(cargo-package))
